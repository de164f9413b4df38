package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"spate/sandbox/awsjson"
	"spate/sandbox/fault"
)

// Target is how the X-Amz-Target header of requests for this service begins.
const Target = "AmazonEC2ContainerServiceV20141113."

// Options say for whom tasks run, and how.
type Options struct {
	// Region and AccountID appear in ARNs.
	Region, AccountID string
	// Figures are the account's limits and behaviour; nil means those of Fargate.
	Figures *Figures
	// Seed repeats what is left to chance.
	Seed uint64
	// MetadataURL is where ServeMetadata is reached, without a final slash.
	MetadataURL string
	// Runtime runs the containers.
	Runtime Runtime
	// Queues takes state-change events; nil: there are none.
	Queues Queues
	// Faults are asked about events; nil: there are none.
	Faults *fault.Injector
	// Log receives unknown operations.
	Log zerolog.Logger
}

// Queues puts a message on a queue, which its ARN names.
type Queues interface {
	Push(arn, body string) error
}

func (o Options) validate() error {
	if o.Runtime == nil {
		return errors.New("ecs needs a runtime")
	}
	return o.Figures.validate()
}

// Server is an http.Handler for requests whose X-Amz-Target starts with Target.
// Each running task has a goroutine, which Close waits for.
type Server struct {
	options Options
	mux     *awsjson.Mux
	group   sync.WaitGroup
	life    context.Context // ends with Close, and with it events that are under way
	end     context.CancelFunc

	mu          sync.Mutex
	account     *account
	supervisors map[string]*supervisor // of tasks that have not stopped, by id
	closed      bool
}

// New makes an account without clusters.
func New(options Options) (*Server, error) {
	if options.Figures == nil {
		figures := Fargate()
		options.Figures = &figures
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		options:     options,
		account:     newAccount(options.Region, options.AccountID, *options.Figures, options.Seed),
		supervisors: map[string]*supervisor{},
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.mux = &awsjson.Mux{
		Prefix: Target, ContentType: "application/x-amz-json-1.1", Log: options.Log,
		Operations: map[string]awsjson.Operation{
			"CreateCluster":            awsjson.Handle(s.createCluster),
			"DescribeClusters":         awsjson.Handle(s.describeClusters),
			"ListClusters":             awsjson.Handle(s.listClusters),
			"RegisterTaskDefinition":   s.registerTaskDefinition,
			"DescribeTaskDefinition":   awsjson.Handle(s.describeTaskDefinition),
			"DeregisterTaskDefinition": awsjson.Handle(s.deregisterTaskDefinition),
			"ListTaskDefinitions":      awsjson.Handle(s.listTaskDefinitions),
			"RunTask":                  awsjson.Handle(s.runTask),
			"StopTask":                 awsjson.Handle(s.stopTask),
			"ListTasks":                awsjson.Handle(s.listTasks),
			"DescribeTasks":            awsjson.Handle(s.describeTasks),
		},
	}
	return s, nil
}

// Operations are the names of those that are served, in order.
func (s *Server) Operations() []string { return s.mux.Names() }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close stops all tasks, with so much time between SIGTERM and SIGKILL, and
// waits for them. RunTask is refused from then on.
func (s *Server) Close(grace time.Duration) {
	s.mu.Lock()
	s.closed = true
	for id := range s.supervisors {
		s.stop(s.account.tasks[id], userInitiated, "the sandbox is stopping", grace)
	}
	s.mu.Unlock()
	s.end()
	s.group.Wait()
}

func (s *Server) runTask(ctx context.Context, in launchRequest) (launchAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err := s.account.admit(now, changeCalls, runTaskCalls); err != nil {
		return launchAnswer{}, err
	}
	if s.closed {
		return launchAnswer{}, &awsjson.Error{
			Status: http.StatusServiceUnavailable, Code: "ServerException", Message: "The sandbox is stopping.",
		}
	}
	most, reason := maxCount, ""
	if partial, ok := fault.Wanted(ctx, fault.Partial); ok {
		count := 1
		if in.Count != nil {
			count = *in.Count
		}
		most, reason = partial.Refused(count), partial.Code
	}
	answer, tasks, err := s.account.launch(now, in, most, reason)
	if err != nil {
		return launchAnswer{}, err
	}
	kill, isKilled := fault.Wanted(ctx, fault.Kill)
	for _, t := range tasks {
		t.entered = s.announce
		s.announce(t)
		life, cancel := context.WithCancel(context.WithoutCancel(ctx))
		supervisor := &supervisor{cancel: cancel}
		if isKilled {
			supervisor.killAfter = max(1, time.Duration(kill.Delay))
		}
		s.supervisors[t.id] = supervisor
		s.group.Add(1)
		go s.supervise(life, t)
	}
	return answer, nil
}

// Figures are the account's, as they stand.
func (s *Server) Figures() Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account.figures.clone()
}

// SetFigures changes the account's figures from now on. Tasks that were launched keep the fate they were given.
func (s *Server) SetFigures(f Figures) error {
	if err := f.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account.figures = f.clone()
	return nil
}

type stopInput struct {
	Cluster string `json:"cluster"`
	Task    string `json:"task"`
	Reason  string `json:"reason"`
}

type stopOutput struct {
	Task taskView `json:"task"`
}

func (s *Server) stopTask(_ context.Context, in stopInput) (stopOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.account.admit(time.Now(), changeCalls); err != nil {
		return stopOutput{}, err
	}
	c, err := s.account.cluster(in.Cluster)
	if err != nil {
		return stopOutput{}, err
	}
	t := s.account.task(c, in.Task)
	if t == nil {
		return stopOutput{}, errInvalid("The referenced task was not found.")
	}
	if in.Reason == "" {
		in.Reason = "Task stopped by user"
	}
	s.stop(t, userInitiated, in.Reason, t.definition.container().stopTimeout())
	return stopOutput{Task: t.view(true)}, nil
}

type definitionOutput struct {
	TaskDefinition map[string]any  `json:"taskDefinition"`
	Tags           json.RawMessage `json:"tags,omitempty"`
}

func (s *Server) registerTaskDefinition(_ context.Context, body []byte) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.account.register(time.Now(), body)
	if err != nil {
		return nil, err
	}
	return definitionOutput{TaskDefinition: d.view(), Tags: d.tags}, nil
}

type definitionInput struct {
	TaskDefinition string   `json:"taskDefinition"`
	Include        []string `json:"include"`
}

func (s *Server) describeTaskDefinition(_ context.Context, in definitionInput) (definitionOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.account.definition(in.TaskDefinition)
	if err != nil {
		return definitionOutput{}, err
	}
	out := definitionOutput{TaskDefinition: d.view()}
	if len(in.Include) > 0 {
		out.Tags = d.tags
	}
	return out, nil
}

func (s *Server) deregisterTaskDefinition(_ context.Context, in definitionInput) (definitionOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.account.deregister(time.Now(), in.TaskDefinition)
	if err != nil {
		return definitionOutput{}, err
	}
	return definitionOutput{TaskDefinition: d.view()}, nil
}
