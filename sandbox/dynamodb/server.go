package dynamodb

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"spate/sandbox/awsjson"
)

// Targets that the server answers begin with one of these.
const (
	TablePrefix  = "DynamoDB_20120810."
	StreamPrefix = "DynamoDBStreams_20120810."
)

// Options configure a Server.
type Options struct {
	// Region and AccountID appear in ARNs.
	Region, AccountID string
	// Habits are those of the tables; nil means Prompt.
	Habits *Habits
	// StreamShards is how many shards a new stream has, at most 1,000; 0 means 2.
	StreamShards int
	// Log receives operations that the server does not know, and faults.
	Log zerolog.Logger
}

func (o Options) validate() error {
	switch {
	case o.Region == "" || o.AccountID == "":
		return errors.New("a region and an account id are needed")
	case o.StreamShards < 0 || o.StreamShards > 1000:
		return errors.New("stream shards must be from 0 to 1000")
	case o.Habits != nil:
		return o.Habits.validate()
	}
	return nil
}

// Server holds tables and streams and answers requests for them. It is safe for concurrent use.
type Server struct {
	options  Options
	handlers map[string]http.Handler
	tokens   tokens
	habits   *atomic.Pointer[Habits]

	mu      sync.RWMutex
	tables  map[string]*table
	streams map[string]*stream // by ARN; a stream outlives its table
}

// New returns an empty server. It fails for options that are out of range.
func New(options Options) (*Server, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	if options.Habits == nil {
		prompt := Prompt()
		options.Habits = &prompt
	}
	if options.StreamShards == 0 {
		options.StreamShards = 2
	}
	s := &Server{
		options: options,
		tokens:  tokens{entries: make(map[string]*tokenEntry)},
		tables:  make(map[string]*table),
		streams: make(map[string]*stream),
		habits:  new(atomic.Pointer[Habits]),
	}
	s.habits.Store(options.Habits)
	s.handlers = map[string]http.Handler{
		TablePrefix:  s.mux(TablePrefix, s.tableOperations()),
		StreamPrefix: s.mux(StreamPrefix, s.streamOperations()),
	}
	return s, nil
}

func (s *Server) mux(prefix string, operations map[string]awsjson.Operation) http.Handler {
	return &awsjson.Mux{Prefix: prefix, ContentType: "application/x-amz-json-1.0", Checksum: true, Operations: operations, Log: s.options.Log}
}

func (s *Server) tableOperations() map[string]awsjson.Operation {
	return map[string]awsjson.Operation{
		"BatchGetItem":       handleIn(s.batchGetItem),
		"BatchWriteItem":     handleIn(s.batchWriteItem),
		"CreateTable":        handle(s.createTable),
		"DeleteItem":         handle(s.deleteItem),
		"DeleteTable":        handle(s.deleteTable),
		"DescribeTable":      handle(s.describeTable),
		"DescribeTimeToLive": handle(s.describeTimeToLive),
		"GetItem":            handle(s.getItem),
		"ListTables":         handle(s.listTables),
		"PutItem":            handle(s.putItem),
		"Query":              handle(s.query),
		"Scan":               handle(s.scan),
		"TransactGetItems":   handle(s.transactGetItems),
		"TransactWriteItems": s.transactWriteOperation,
		"UpdateItem":         handle(s.updateItem),
		"UpdateTable":        handle(s.updateTable),
		"UpdateTimeToLive":   handle(s.updateTimeToLive),
	}
}

func (s *Server) streamOperations() map[string]awsjson.Operation {
	return map[string]awsjson.Operation{
		"DescribeStream":   handle(s.describeStream),
		"GetRecords":       handle(s.getRecords),
		"GetShardIterator": handle(s.getShardIterator),
		"ListStreams":      handle(s.listStreams),
	}
}

// Operations are the names of those of tables that are served, in order.
func (s *Server) Operations() []string { return slices.Sorted(maps.Keys(s.tableOperations())) }

// StreamOperations are the names of those of streams that are served, in order.
func (s *Server) StreamOperations() []string { return slices.Sorted(maps.Keys(s.streamOperations())) }

// ServeHTTP answers one request of either service.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	handler := s.handlers[prefix+"."]
	if handler == nil {
		handler = s.handlers[TablePrefix] // which says that it does not know the operation
	}
	handler.ServeHTTP(w, r)
}

// handle makes an operation of a function of the decoded request. now is when the request is handled.
func handle[In, Out any](do func(now time.Time, in In) (Out, error)) awsjson.Operation {
	return handleIn(func(_ context.Context, now time.Time, in In) (Out, error) { return do(now, in) })
}

// handleIn is handle for a function that looks at the request's context.
func handleIn[In, Out any](do func(ctx context.Context, now time.Time, in In) (Out, error)) awsjson.Operation {
	return func(ctx context.Context, body []byte) (any, error) {
		in, err := decode[In](body)
		if err != nil {
			return nil, classify(err)
		}
		out, err := do(ctx, time.Now(), in)
		if err != nil {
			return nil, classify(err)
		}
		return out, nil
	}
}

// table finds a table by name or ARN.
func (s *Server) table(name string) (*table, error) {
	if name == "" {
		return nil, outOfRange("null", "tableName", "Member must not be null")
	}
	if i := strings.Index(name, ":table/"); i >= 0 {
		name = name[i+len(":table/"):]
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.tables[name]
	if t == nil {
		return nil, errNoTable()
	}
	return t, nil
}
