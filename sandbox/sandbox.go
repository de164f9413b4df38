package sandbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"spate/sandbox/dynamodb"
	"spate/sandbox/ecs"
	"spate/sandbox/fault"
	"spate/sandbox/s3"
	"spate/sandbox/sqs"
)

// Options configure a Sandbox. The zero value serves on free ports.
type Options struct {
	// Listen is the address of the AWS services; empty means "127.0.0.1:0".
	Listen string
	// RedisListen is the address of the Redis; empty means "127.0.0.1:0".
	RedisListen string
	// RedisServer is a redis-server program to start; empty means an embedded server.
	RedisServer string
	// Region is the only one there is; empty means "us-east-1".
	Region string
	// AccountID appears in ARNs; empty means "000000000000".
	AccountID string
	// TaskPath are directories put before Path for task processes.
	TaskPath []string
	// Path is the search path of task processes, as in PATH; empty means the
	// usual directories of a container.
	Path string
	// LogDir gets one file a task, <task id>.log, with its standard output and
	// error. Empty means a temporary directory, removed at the end.
	LogDir string
	// Account is how the services behave; nil means Instant.
	Account *Account
	// StopGrace is what tasks are given between SIGTERM and SIGKILL when the
	// sandbox ends; 0 means 5 s. StopTask goes by the container's stopTimeout.
	StopGrace time.Duration
	// Seed makes what is left to chance repeatable; 0 means one made at random, which State tells.
	Seed uint64
	// InProcess opens no ports: clients use Transport and DialRedis. The whole sandbox then runs inside a bubble of
	// [testing/synctest].
	InProcess bool
	// Runtime runs the tasks; nil means child processes. With InProcess it is needed, unless no task is launched.
	Runtime ecs.Runtime
	// Log receives what goes wrong, and requests that are not implemented.
	Log zerolog.Logger
}

func (o Options) withDefaults() Options {
	setDefault(&o.Listen, "127.0.0.1:0")
	setDefault(&o.RedisListen, "127.0.0.1:0")
	setDefault(&o.Region, "us-east-1")
	setDefault(&o.AccountID, "000000000000")
	setDefault(&o.Path, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	setDefault(&o.StopGrace, 5*time.Second)
	if o.Account == nil {
		instant := Instant()
		o.Account = &instant
	}
	for o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	return o
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// Sandbox is one account of AWS on this machine.
type Sandbox struct {
	options  Options
	listener net.Listener // nil when in process
	redis    *redisServer
	handler  http.Handler
	faults   *fault.Injector
	ecs      *ecs.Server
	queues   *sqs.Server
	tables   *dynamodb.Server
	objects  *s3.Server
	tempDir  string // holds the tasks' directories, and their logs unless LogDir is set
}

// New opens the ports and prepares the services; it fails when an address is
// taken or an option is out of range. Run must follow, also to release what New
// took.
func New(options Options) (*Sandbox, error) {
	s := &Sandbox{options: options.withDefaults()}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Sandbox) open() error {
	var err error
	if s.tempDir, err = os.MkdirTemp("", "sandbox-"); err != nil {
		return fmt.Errorf("make task directory: %w", err)
	}
	if err := s.listen(); err != nil {
		return err
	}
	if s.options.LogDir == "" {
		s.options.LogDir = filepath.Join(s.tempDir, "logs")
	}
	if err := os.MkdirAll(s.options.LogDir, 0o750); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	return s.openServices()
}

// listen opens the ports, and starts the Redis.
func (s *Sandbox) listen() error {
	var err error
	address := ""
	if !s.options.InProcess {
		if s.listener, err = net.Listen("tcp", s.options.Listen); err != nil { //nolint:noctx // binding a loopback port does not wait
			return fmt.Errorf("listen for AWS clients: %w", err)
		}
		address = s.options.RedisListen
	}
	var backend redisBackend = embedded{miniredis.NewMiniRedis()}
	if s.options.RedisServer != "" {
		if backend, err = startRedis(s.options.RedisServer, s.tempDir); err != nil {
			return err
		}
	}
	s.redis, err = newRedis(backend, address)
	return err
}

func (s *Sandbox) openServices() error {
	o := s.options
	s.faults = fault.New(o.Seed)
	s.queues = sqs.New(sqs.Options{Region: o.Region, AccountID: o.AccountID, Habits: o.Account.SQS, Seed: o.Seed, Log: o.Log})
	s.objects = s3.New(s3.Options{Region: o.Region, Queues: s.queues, Habits: o.Account.S3, Seed: o.Seed, Faults: s.faults, Log: o.Log})
	var err error
	if s.tables, err = dynamodb.New(dynamodb.Options{Region: o.Region, AccountID: o.AccountID, Habits: &o.Account.DynamoDB, Log: o.Log}); err != nil {
		return fmt.Errorf("open dynamodb: %w", err)
	}
	runtime := o.Runtime
	if runtime == nil {
		runtime = &ecs.ProcessRuntime{
			Path: slices.Concat(o.TaskPath, filepath.SplitList(o.Path)), Environment: s.Env(), WorkDir: s.tempDir, LogDir: o.LogDir, Log: o.Log,
		}
	}
	s.ecs, err = ecs.New(ecs.Options{
		Region: o.Region, AccountID: o.AccountID, Figures: &o.Account.ECS, Seed: o.Seed,
		MetadataURL: s.Endpoint() + metadataPath, Runtime: runtime, Queues: s.queues, Faults: s.faults, Log: o.Log,
	})
	if err != nil {
		return fmt.Errorf("open ecs: %w", err)
	}
	s.handler = &router{
		targets: s.services(s.queues),
		own: map[string]http.Handler{
			metadataPath:  http.StripPrefix(metadataPath, http.HandlerFunc(s.ecs.ServeMetadata)),
			faultsPath:    http.HandlerFunc(s.serveFaults),
			statePath:     http.HandlerFunc(s.serveState),
			accountPath:   http.HandlerFunc(s.serveAccount),
			interruptPath: http.HandlerFunc(s.serveInterrupt),
			splitPath:     http.HandlerFunc(s.serveSplit),
			redisPath:     http.HandlerFunc(s.serveRedis),
		},
		objects: s.faults.Wrap(s3Faults(s.objects), s.objects),
		unknown: unknownTarget(o.Log),
		queries: unknownQuery(o.Log),
	}
	return nil
}

// Endpoint is the URL for AWS_ENDPOINT_URL. In process it leads nowhere but through Transport.
func (s *Sandbox) Endpoint() string {
	if s.listener == nil {
		return "http://127.0.0.1:1"
	}
	return "http://" + s.listener.Addr().String()
}

// RedisURL is the URL of the Redis; in process it has none, and DialRedis is the way.
func (s *Sandbox) RedisURL() string {
	if s.listener == nil {
		return ""
	}
	return "redis://" + s.redis.address()
}

// DialRedis connects to the Redis without a port. The caller closes the connection.
func (s *Sandbox) DialRedis() (net.Conn, error) { return s.redis.dial() }

// Env is what an AWS client's environment needs, as "NAME=value", in a fixed
// order.
func (s *Sandbox) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.Endpoint(),
		"AWS_REGION=" + s.options.Region,
		"AWS_DEFAULT_REGION=" + s.options.Region, // awscli v1 and boto3 read this one
		"AWS_ACCESS_KEY_ID=sandbox",
		"AWS_SECRET_ACCESS_KEY=sandbox",
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// Handler answers the requests of AWS clients without a connection, for tests
// with an in-process transport. It works before Run too; tasks that it launches
// are stopped when Run ends.
func (s *Sandbox) Handler() http.Handler { return s.handler }

// Run serves until ctx ends, then stops everything and waits for it. It returns
// nil after such an end, or the error that ended it before.
func (s *Sandbox) Run(ctx context.Context) error {
	requests, endRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer endRequests()
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return requests },
	}
	group, ctx := errgroup.WithContext(ctx)
	if s.listener != nil {
		group.Go(func() error {
			if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve AWS clients: %w", err)
			}
			return nil
		})
	}
	group.Go(func() error { return s.redis.run(ctx) })
	group.Go(func() error { return s.tables.Run(ctx) })
	group.Go(func() error { return s.objects.Run(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		s.ecs.Close(s.options.StopGrace)
		endRequests() // long polls return
		return server.Close()
	})
	err := group.Wait()
	return errors.Join(err, s.close())
}

// close releases what New took, as far as it came.
func (s *Sandbox) close() error {
	if s.listener != nil {
		_ = s.listener.Close() // Run's server has closed it already
	}
	var errs []error
	if s.redis != nil {
		errs = append(errs, s.redis.close())
	}
	if s.tempDir != "" {
		errs = append(errs, os.RemoveAll(s.tempDir))
	}
	return errors.Join(errs...)
}
