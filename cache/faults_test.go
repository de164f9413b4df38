package cache

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/redis/go-redis/v9"
)

// faults stands before DynamoDB and its streams. Each hook, when set, is asked before the call; an error of its own is
// the call's answer.
type faults struct {
	DynamoDB
	Streams

	mu          sync.Mutex
	unprocessed func() bool // leaves one item of a batch unprocessed
	write       func() error
	read        func() error
	scan        func(segment int32) error // before each page of a scan
	scanned     func()                    // after each page of a scan; called concurrently
	records     func() error
	describe    func() error
	twice       bool // each stream record comes twice
}

func (f *faults) set(change func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func ask(f *faults, hook func(*faults) func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if do := hook(f); do != nil {
		return do()
	}
	return nil
}

func (f *faults) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	if err := ask(f, func(f *faults) func() error { return f.write }); err != nil {
		return nil, err
	}
	f.mu.Lock()
	var kept, left []types.WriteRequest
	for _, r := range in.RequestItems[outputsTable] {
		if f.unprocessed != nil && f.unprocessed() {
			left = append(left, r)
		} else {
			kept = append(kept, r)
		}
	}
	f.mu.Unlock()
	out := &dynamodb.BatchWriteItemOutput{}
	if len(kept) > 0 {
		var err error
		out, err = f.DynamoDB.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{outputsTable: kept}}, o...)
		if err != nil {
			return nil, err
		}
	}
	if len(left) > 0 {
		out.UnprocessedItems = map[string][]types.WriteRequest{outputsTable: append(left, out.UnprocessedItems[outputsTable]...)}
	}
	return out, nil
}

func (f *faults) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	if err := ask(f, func(f *faults) func() error { return f.read }); err != nil {
		return nil, err
	}
	f.mu.Lock()
	var kept, left []map[string]types.AttributeValue
	for _, k := range in.RequestItems[outputsTable].Keys {
		if f.unprocessed != nil && f.unprocessed() {
			left = append(left, k)
		} else {
			kept = append(kept, k)
		}
	}
	f.mu.Unlock()
	out := &dynamodb.BatchGetItemOutput{}
	if len(kept) > 0 {
		some := in.RequestItems[outputsTable]
		some.Keys = kept
		var err error
		out, err = f.DynamoDB.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{outputsTable: some}}, o...)
		if err != nil {
			return nil, err
		}
	}
	if len(left) > 0 {
		rest := in.RequestItems[outputsTable]
		rest.Keys = left
		out.UnprocessedKeys = map[string]types.KeysAndAttributes{outputsTable: rest}
	}
	return out, nil
}

func (f *faults) DescribeTable(ctx context.Context, in *dynamodb.DescribeTableInput, o ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	if err := ask(f, func(f *faults) func() error { return f.describe }); err != nil {
		return nil, err
	}
	return f.DynamoDB.DescribeTable(ctx, in, o...)
}

func (f *faults) Scan(ctx context.Context, in *dynamodb.ScanInput, o ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	if err := ask(f, func(f *faults) func() error {
		if f.scan == nil {
			return nil
		}
		return func() error { return f.scan(aws.ToInt32(in.Segment)) }
	}); err != nil {
		return nil, err
	}
	out, err := f.DynamoDB.Scan(ctx, in, o...)
	f.mu.Lock()
	scanned := f.scanned
	f.mu.Unlock()
	if scanned != nil {
		scanned()
	}
	return out, err
}

func (f *faults) GetRecords(ctx context.Context, in *dynamodbstreams.GetRecordsInput, o ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	if err := ask(f, func(f *faults) func() error { return f.records }); err != nil {
		return nil, err
	}
	out, err := f.Streams.GetRecords(ctx, in, o...)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.twice {
		out.Records = slices.Concat(out.Records, out.Records)
	}
	return out, err
}

var errTimeout = &net.OpError{Op: "read", Net: "tcp", Err: errors.New("i/o timeout")}

// redisFaults is a hook of the Redis client.
type redisFaults struct {
	mu       sync.Mutex
	before   func(n int) error                     // asked before the n-th pipeline or transaction, from 1
	after    func(n int, cmds []redis.Cmder) error // asked after its effect
	single   func(redis.Cmder) error               // asked before a command that is sent by itself
	pipeline int
}

func (r *redisFaults) set(change func(*redisFaults)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *redisFaults) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *redisFaults) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.mu.Lock()
		single := r.single
		r.mu.Unlock()
		if single != nil {
			if err := single(cmd); err != nil {
				return failAll([]redis.Cmder{cmd}, err)
			}
		}
		return next(ctx, cmd)
	}
}

func (r *redisFaults) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.mu.Lock()
		r.pipeline++
		n, before, after := r.pipeline, r.before, r.after
		r.mu.Unlock()
		if before != nil {
			if err := before(n); err != nil {
				return failAll(cmds, err)
			}
		}
		err := next(ctx, cmds)
		if after != nil {
			if failed := after(n, cmds); failed != nil {
				return failAll(cmds, failed)
			}
		}
		return err
	}
}

func failAll(cmds []redis.Cmder, err error) error {
	for _, c := range cmds {
		c.SetErr(err)
	}
	return err
}

// faultyRedis adds the hook to the house's Redis client.
func (h *house) faultyRedis() *redisFaults {
	r := &redisFaults{}
	h.redis.AddHook(r)
	return r
}

// flush empties Redis.
func (h *house) flush() {
	h.t.Helper()
	if err := h.redis.FlushAll(h.t.Context()).Err(); err != nil {
		h.t.Fatal(err)
	}
}

// snapshot is all that Redis holds.
type snapshot struct {
	strings map[string]string
	sets    map[string][]string
}

func takeSnapshot(t testing.TB, client *redis.Client) snapshot {
	t.Helper()
	s := snapshot{map[string]string{}, map[string][]string{}}
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		switch kind := client.Type(t.Context(), k).Val(); kind {
		case "string":
			s.strings[k] = client.Get(t.Context(), k).Val()
		case "set":
			s.sets[k] = client.SMembers(t.Context(), k).Val()
		default:
			t.Fatalf("%s is a %s", k, kind)
		}
	}
	return s
}

// restore makes Redis hold what it held then, and nothing else.
func (s snapshot) restore(t testing.TB, client *redis.Client) {
	t.Helper()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for k, v := range s.strings {
		if err := client.Set(t.Context(), k, v, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for k, members := range s.sets {
		for _, m := range members {
			if err := client.SAdd(t.Context(), k, m).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
