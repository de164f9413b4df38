package sqs

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"spate/sandbox/awsjson"
)

// Target is how the X-Amz-Target header of requests for this service begins.
const Target = "AmazonSQS."

// Options say for whom the queues are.
type Options struct {
	// Region and AccountID appear in ARNs and queue URLs.
	Region, AccountID string
	// Habits are those of the queues; Seed repeats what they leave to chance.
	Habits Habits
	Seed   uint64
	// Log receives unknown operations.
	Log zerolog.Logger
}

// Server is an http.Handler for requests whose X-Amz-Target starts with Target.
// It starts no goroutine.
type Server struct {
	options   Options
	queueName *regexp.Regexp
	mux       *awsjson.Mux

	mu     sync.Mutex
	queues map[string]*queue // by name
	chance *chance
}

// hostKey is the context key of the request's own Host, which queue URLs repeat.
type hostKey struct{}

// New makes a server without queues.
func New(options Options) *Server {
	s := &Server{
		options: options, queues: map[string]*queue{},
		chance:    &chance{options.Habits, rand.New(rand.NewPCG(options.Seed, 0))},
		queueName: regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`),
	}
	s.mux = &awsjson.Mux{
		Prefix: Target, ContentType: "application/x-amz-json-1.0", Log: options.Log,
		Operations: map[string]awsjson.Operation{
			"CreateQueue":                  awsjson.Handle(s.createQueue),
			"GetQueueUrl":                  awsjson.Handle(s.getQueueURL),
			"ListQueues":                   awsjson.Handle(s.listQueues),
			"DeleteQueue":                  awsjson.Handle(s.deleteQueue),
			"PurgeQueue":                   awsjson.Handle(s.purgeQueue),
			"GetQueueAttributes":           awsjson.Handle(s.getQueueAttributes),
			"SetQueueAttributes":           awsjson.Handle(s.setQueueAttributes),
			"SendMessage":                  awsjson.Handle(s.sendMessage),
			"SendMessageBatch":             awsjson.Handle(s.sendMessageBatch),
			"ReceiveMessage":               awsjson.Handle(s.receiveMessage),
			"DeleteMessage":                awsjson.Handle(s.deleteMessage),
			"DeleteMessageBatch":           awsjson.Handle(s.deleteMessageBatch),
			"ChangeMessageVisibility":      awsjson.Handle(s.changeMessageVisibility),
			"ChangeMessageVisibilityBatch": awsjson.Handle(s.changeMessageVisibilityBatch),
		},
	}
	return s
}

// Operations are the names of those that are served, in order.
func (s *Server) Operations() []string { return s.mux.Names() }

// ServeHTTP answers one request. Queue URLs in the answer are on the host that
// the client used.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := context.WithValue(r.Context(), hostKey{}, r.Host)
	s.mux.ServeHTTP(w, r.WithContext(ctx))
}

// HasQueue says whether there is a queue of this ARN.
func (s *Server) HasQueue(arn string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queueByARN(arn) != nil
}

// Push sends a body to a queue by its ARN, as AWS services do on their own
// behalf. It fails when there is no such queue or the body is too long for it.
func (s *Server) Push(arn, body string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queueByARN(arn)
	if q == nil {
		return fmt.Errorf("push to %s: %w", arn, errNoQueue())
	}
	if _, err := s.send(q, outgoing{MessageBody: body}); err != nil {
		return fmt.Errorf("push to %s: %w", arn, err)
	}
	return nil
}

// queueOf finds a queue by its URL or bare name. The lock must be held.
func (s *Server) queueOf(url string) (*queue, error) {
	if url == "" {
		return nil, errMissing("QueueUrl")
	}
	name := url[strings.LastIndexByte(url, '/')+1:]
	if q := s.queues[name]; q != nil {
		return q, nil
	}
	return nil, errNoQueue()
}

func (s *Server) queueByARN(arn string) *queue {
	name, ok := strings.CutPrefix(arn, s.arn(""))
	if !ok {
		return nil
	}
	return s.queues[name]
}

func (s *Server) arn(name string) string {
	return "arn:aws:sqs:" + s.options.Region + ":" + s.options.AccountID + ":" + name
}

func (s *Server) url(ctx context.Context, name string) string {
	host, _ := ctx.Value(hostKey{}).(string)
	return "http://" + host + "/" + s.options.AccountID + "/" + name
}

// settle gives out what can be given to waiting polls and sets the alarm for
// what becomes visible later. It follows every change that could make a message
// visible. The lock must be held.
func (s *Server) settle(q *queue, now time.Time) {
	q.serve(now)
	q.remember(now, time.Duration(s.chance.DepthLag))
	if q.wakeup != nil {
		q.wakeup.Stop()
		q.wakeup = nil
	}
	if q.waiters.Len() == 0 || len(q.hidden) == 0 {
		return
	}
	q.wakeup = time.AfterFunc(q.hidden[0].wakes.Sub(now), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.settle(q, time.Now())
	})
}

// newID makes a random identifier in the form of a UUID.
func newID() string {
	var id [16]byte
	cryptorand.Read(id[:]) // never fails: it ends the program instead
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
