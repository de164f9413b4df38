package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// gate stands between the processes that are told to use it and the sandbox, and sees each of their requests twice: on
// its way, and when its answer is on the way back. At either moment a test may act, kill the client among other things,
// so that faults come at chosen steps and not at chosen times.
type gate struct {
	url    string
	target string

	mu      sync.Mutex
	watch   func(*call)
	handles map[string][]string // of all messages received through the gate, by queue URL
}

// call is one request. Its operation is "SQS.SendMessageBatch", "DynamoDB.PutItem", "ECS.RunTask" or "S3.PUT".
type call struct {
	Operation string
	Path      string // of an S3 request
	Body      []byte
	Answered  bool   // the sandbox has done it, and the answer is in Answer
	Answer    []byte // what the client will get; a watcher may replace it
	cut       bool
}

// Cut ends the connection: the request does not reach the sandbox, or its answer does not reach the client.
func (c *call) Cut() { c.cut = true }

// Has reports whether the request mentions a text.
func (c *call) Has(text string) bool { return bytes.Contains(c.Body, []byte(text)) }

// Writes reports whether the request changes something, the lease's renewal apart, which comes by the clock.
func (c *call) Writes() bool {
	switch c.Operation {
	case "DynamoDB.PutItem", "DynamoDB.UpdateItem", "DynamoDB.DeleteItem", "DynamoDB.BatchWriteItem", "DynamoDB.TransactWriteItems":
		return !c.Has(`"LEASE"`) || c.Operation == "DynamoDB.TransactWriteItems" // the journal's writes are guarded by the lease
	case "SQS.SendMessageBatch", "SQS.SendMessage", "SQS.DeleteMessageBatch", "SQS.DeleteMessage", "ECS.RunTask", "S3.PUT", "S3.DELETE":
		return true
	}
	return false
}

// newGate opens a gate to a sandbox.
func newGate(t *testing.T, endpoint string) *gate {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{target: target.Host, handles: map[string][]string{}}
	server := httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	g.url = server.URL
	return g
}

// Watch sets who is shown the calls from now on. It is called by many goroutines.
func (g *gate) Watch(watch func(*call)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watch = watch
}

func (g *gate) show(c *call) {
	g.mu.Lock()
	watch := g.watch
	g.mu.Unlock()
	if watch != nil {
		watch(c)
	}
	if c.cut {
		panic(http.ErrAbortHandler)
	}
}

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c := &call{Operation: operation(r), Path: r.URL.Path, Body: body}
	g.show(c)
	answer, header, status, err := g.forward(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c.Answered, c.Answer = true, answer
	g.note(c)
	g.show(c)
	maps.Copy(w.Header(), header)
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", fmt.Sprint(len(c.Answer)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(c.Answer) // a client that has left needs no answer
}

func (g *gate) forward(r *http.Request, body []byte) (answer []byte, header http.Header, status int, err error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host, out.RequestURI = "http", g.target, g.target, ""
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	out.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return nil, nil, 0, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return answer, response.Header, response.StatusCode, err
}

// operation names a request as AWS does.
func operation(r *http.Request) string {
	target := r.Header.Get("X-Amz-Target")
	if target == "" {
		return "S3." + r.Method
	}
	service, name, _ := strings.Cut(target, ".")
	switch {
	case strings.HasPrefix(service, "DynamoDBStreams"):
		service = "Streams"
	case strings.HasPrefix(service, "DynamoDB"):
		service = "DynamoDB"
	case strings.HasPrefix(service, "AmazonSQS"):
		service = "SQS"
	case strings.HasPrefix(service, "AmazonEC2ContainerService"):
		service = "ECS"
	}
	return service + "." + name
}

// note remembers which messages the clients have in hand.
func (g *gate) note(c *call) {
	if c.Operation != "SQS.ReceiveMessage" {
		return
	}
	url, handles := received(c)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.handles[url] = append(g.handles[url], handles...)
}

// inHand are the receipt handles of all messages that were received through the gate since it was last asked, by queue.
// The messages of a dead process come again when their visibility timeout is over; with the handles a test that
// is not about that need not wait.
func (g *gate) inHand() map[string][]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	handles := g.handles
	g.handles = map[string][]string{}
	return handles
}

// received reads an answered ReceiveMessage.
func received(c *call) (queueURL string, handles []string) {
	var in struct {
		QueueURL string `json:"QueueUrl"`
	}
	var out struct {
		Messages []struct{ ReceiptHandle string }
	}
	if json.Unmarshal(c.Body, &in) != nil || json.Unmarshal(c.Answer, &out) != nil {
		return "", nil
	}
	for _, m := range out.Messages {
		handles = append(handles, m.ReceiptHandle)
	}
	return in.QueueURL, handles
}
