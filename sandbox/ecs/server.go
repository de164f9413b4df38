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
)

// Target is how the X-Amz-Target header of requests for this service begins.
const Target = "AmazonEC2ContainerServiceV20141113."

// Options say for whom tasks run, and how.
type Options struct {
	// Region and AccountID appear in ARNs.
	Region, AccountID string
	// Limits are the account's; the zero value has those of a new account.
	Limits Limits
	// StartDelay is how long a task stays PROVISIONING before its container starts.
	StartDelay time.Duration
	// MetadataURL is where ServeMetadata is reached, without a final slash.
	MetadataURL string
	// Runtime runs the containers.
	Runtime Runtime
	// Log receives unknown operations.
	Log zerolog.Logger
}

func (o Options) validate() error {
	if o.Runtime == nil {
		return errors.New("ecs needs a runtime")
	}
	if o.StartDelay < 0 {
		return errors.New("start delay must not be negative")
	}
	return o.Limits.validate()
}

// Server is an http.Handler for requests whose X-Amz-Target starts with Target.
// Each running task has a goroutine, which Close waits for.
type Server struct {
	options Options
	mux     *awsjson.Mux
	group   sync.WaitGroup

	mu          sync.Mutex
	account     *account
	supervisors map[string]*supervisor // of tasks that have not stopped, by id
	closed      bool
}

// New makes an account without clusters.
func New(options Options) (*Server, error) {
	options.Limits = options.Limits.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		options:     options,
		account:     newAccount(options.Region, options.AccountID, options.Limits),
		supervisors: map[string]*supervisor{},
	}
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

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close stops all tasks, with so much time between SIGTERM and SIGKILL, and
// waits for them. RunTask is refused from then on.
func (s *Server) Close(grace time.Duration) {
	s.mu.Lock()
	s.closed = true
	for id := range s.supervisors {
		s.stop(s.account.tasks[id], "the sandbox is stopping", grace)
	}
	s.mu.Unlock()
	s.group.Wait()
}

func (s *Server) runTask(_ context.Context, in launchRequest) (launchAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return launchAnswer{}, &awsjson.Error{
			Status: http.StatusServiceUnavailable, Code: "ServerException", Message: "The sandbox is stopping.",
		}
	}
	answer, tasks, err := s.account.launch(time.Now(), in)
	if err != nil {
		return launchAnswer{}, err
	}
	for _, t := range tasks {
		ctx, cancel := context.WithCancel(context.Background())
		s.supervisors[t.id] = &supervisor{cancel: cancel}
		s.group.Add(1)
		go s.supervise(ctx, t)
	}
	return answer, nil
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
	s.stop(t, in.Reason, t.definition.container().stopTimeout())
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
