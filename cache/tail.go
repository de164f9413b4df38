package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"golang.org/x/sync/errgroup"

	"spate/job"
)

// Streams is what the follower uses of *dynamodbstreams.Client, whose contract it is.
type Streams interface {
	DescribeStream(context.Context, *dynamodbstreams.DescribeStreamInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error)
	GetShardIterator(context.Context, *dynamodbstreams.GetShardIteratorInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error)
	GetRecords(context.Context, *dynamodbstreams.GetRecordsInput, ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error)
}

// errMissed says that changes went by unread: the records were trimmed, or the stream was replaced.
var errMissed = errors.New("changes of the ledger were missed")

const (
	parallelShards  = 8                // GetRecords calls at the same time
	refreshInterval = 10 * time.Second // between listings of the shards
)

// tail reads a stream: of each shard one page at a time, children after their parents. It is used by one goroutine.
type tail struct {
	streams   Streams
	arn       string
	shards    map[string]*shard
	refreshed time.Time
	listed    time.Time // all shards are known that had records before it
	disabled  bool      // no shard will be added any more
}

// shard is a tail's place in one shard.
type shard struct {
	id, parent string
	iterator   string // empty when one must be asked for
	read       string // sequence number of the last record read; empty before the first
	done       bool   // closed and read to its end
	listed     bool
	saved      Checkpoint

	until time.Time // all records of before have been read
	empty int       // reads in a row that found nothing
	far   bool      // the last read began more than staleAfter behind
}

// After how many empty reads in a row a shard is taken to be read to its tip: between two records there may be some (Amazon
// DynamoDB API reference, "GetRecords"), and more where nobody has read for long.
const (
	enoughEmpty    = 5
	enoughEmptyFar = 30 // while the shard is not known to have been read to staleAfter ago
)

// note takes down that a read found records, of which the newest was made at a time, or with the zero time that it found
// none. A record that is older than what was believed to be read takes that back.
func (s *shard) note(newest, now time.Time) {
	far := now.Sub(s.until) > staleAfter
	if far && !s.far {
		s.empty = 0 // what was seen at the tip says nothing of what came since
	}
	s.far = far
	if newest.IsZero() {
		s.empty++
		if s.empty >= enoughEmptyFar || s.empty >= enoughEmpty && !far {
			s.until = now
		}
		return
	}
	if now.Sub(newest) > staleAfter { // far from the tip
		s.empty, s.until = 0, newest
	} else if newest.After(s.until) {
		s.until = newest
	}
}

func (s *shard) checkpoint() Checkpoint {
	return Checkpoint{Shard: s.id, Sequence: s.read, Done: s.done}
}

// newTail has read everything before a time, and nothing since.
func newTail(streams Streams, arn string, since time.Time) *tail {
	return &tail{streams: streams, arn: arn, shards: map[string]*shard{}, listed: since}
}

// resumeTail makes a new tail go on from checkpoints, which lie behind everything that it has read. Shards without one are
// read from their beginning.
func resumeTail(ctx context.Context, t *tail, checkpoints []Checkpoint, now time.Time) (*tail, error) {
	since := t.listed
	for _, c := range checkpoints {
		t.shards[c.Shard] = &shard{id: c.Shard, read: c.Sequence, done: c.Done, saved: c, until: since}
	}
	return t, t.refresh(ctx, now)
}

// freshTail begins with the changes after now: what came before is for a scan of the ledger to see, which must not begin
// earlier than freshTail returns.
func freshTail(ctx context.Context, streams Streams, arn string, now time.Time) (*tail, error) {
	t := newTail(streams, arn, now)
	closed, err := t.list(ctx, now)
	if err != nil {
		return nil, err
	}
	t.refreshed = now
	for _, s := range t.shards {
		if closed[s.id] {
			s.done = true
			continue
		}
		s.empty = enoughEmpty
		if s.iterator, err = t.askIterator(ctx, s.id, types.ShardIteratorTypeLatest, ""); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// poll reads the next page of each shard that can be read and returns the keys of changed items. Keys and an error may
// come together: the shards that could be read have moved on.
func (t *tail) poll(ctx context.Context, now time.Time) ([]job.Key, error) {
	var errs []error
	if now.Sub(t.refreshed) >= refreshInterval {
		errs = append(errs, t.refresh(ctx, now))
	}
	var (
		mu      sync.Mutex
		changed []job.Key
		calls   errgroup.Group
		ended   bool
	)
	calls.SetLimit(parallelShards)
	for _, s := range t.readable() {
		calls.Go(func() error {
			keys, err := t.next(ctx, s, now)
			mu.Lock()
			defer mu.Unlock()
			changed = append(changed, keys...)
			errs = append(errs, err)
			ended = ended || s.done
			return nil
		})
	}
	_ = calls.Wait() // errs has what went wrong
	if ended {
		t.refreshed = time.Time{} // a closed shard has children by now
	}
	return changed, errors.Join(errs...)
}

// readable are the shards with something to read, whose parents have been read to the end.
func (t *tail) readable() []*shard {
	var out []*shard
	for _, s := range t.shards {
		if parent := t.shards[s.parent]; !s.done && (parent == nil || parent.done) {
			out = append(out, s)
		}
	}
	return out
}

// until is the time before which everything has been read.
func (t *tail) until() time.Time {
	first := t.listed
	for _, s := range t.shards {
		if !s.done && s.until.Before(first) {
			first = s.until
		}
	}
	return first
}

// reading is how many shards are not read to their end.
func (t *tail) reading() int {
	n := 0
	for _, s := range t.shards {
		if !s.done {
			n++
		}
	}
	return n
}

// next reads one page.
func (t *tail) next(ctx context.Context, s *shard, now time.Time) ([]job.Key, error) {
	if s.iterator == "" {
		kind := types.ShardIteratorTypeTrimHorizon
		if s.read != "" {
			kind = types.ShardIteratorTypeAfterSequenceNumber
		}
		var err error
		if s.iterator, err = t.askIterator(ctx, s.id, kind, s.read); err != nil {
			return nil, err
		}
	}
	out, err := t.streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: &s.iterator})
	if err != nil {
		if _, expired := errors.AsType[*types.ExpiredIteratorException](err); expired {
			s.iterator = ""
			return nil, nil
		}
		return nil, t.wrap("read shard "+s.id, err)
	}
	var keys []job.Key
	var at time.Time
	for _, r := range out.Records {
		if r.Dynamodb == nil {
			continue
		}
		s.read = aws.ToString(r.Dynamodb.SequenceNumber)
		at = aws.ToTime(r.Dynamodb.ApproximateCreationDateTime)
		text, ok := r.Dynamodb.Keys[attributeKey].(*types.AttributeValueMemberS)
		if !ok {
			continue
		}
		if key, err := job.ParseKey(text.Value); err == nil { // other items in the table are not ours
			keys = append(keys, key)
		}
	}
	s.iterator = aws.ToString(out.NextShardIterator)
	s.done = s.iterator == ""
	s.note(at, now)
	return keys, nil
}

func (t *tail) askIterator(ctx context.Context, id string, kind types.ShardIteratorType, after string) (string, error) {
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &t.arn, ShardId: &id, ShardIteratorType: kind}
	if after != "" {
		in.SequenceNumber = &after
	}
	out, err := t.streams.GetShardIterator(ctx, in)
	if err != nil {
		return "", t.wrap("find place in shard "+id, err)
	}
	return aws.ToString(out.ShardIterator), nil
}

// refresh learns of new shards, and forgets those that are gone and were read to their end. One that is gone before that
// took its records with it.
func (t *tail) refresh(ctx context.Context, now time.Time) error {
	if _, err := t.list(ctx, now); err != nil {
		return err
	}
	t.refreshed = now
	ended := t.disabled
	for id, s := range t.shards {
		if !s.listed && !s.done {
			return fmt.Errorf("shard %s is gone: %w", id, errMissed)
		}
		ended = ended && s.done
	}
	if ended {
		return fmt.Errorf("stream %s was switched off: %w", t.arn, errMissed)
	}
	return nil
}

// list adds the stream's shards to those known, and returns which are closed. All records of a shard that is new are
// younger than the last list.
func (t *tail) list(ctx context.Context, now time.Time) (closed map[string]bool, err error) {
	closed = map[string]bool{}
	listed := map[string]*types.Shard{}
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &t.arn}
	for {
		out, err := t.streams.DescribeStream(ctx, in)
		if err != nil {
			return nil, t.wrap("list shards", err)
		}
		t.disabled = out.StreamDescription.StreamStatus == types.StreamStatusDisabled
		for _, described := range out.StreamDescription.Shards {
			listed[aws.ToString(described.ShardId)] = &described
		}
		in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId
		if in.ExclusiveStartShardId == nil {
			break
		}
	}
	for _, s := range t.shards {
		s.listed = false
	}
	for id, described := range listed {
		s := t.shards[id]
		if s == nil {
			s = &shard{id: id, until: t.listed}
			t.shards[id] = s
		}
		s.parent, s.listed = aws.ToString(described.ParentShardId), true
		closed[id] = described.SequenceNumberRange != nil && described.SequenceNumberRange.EndingSequenceNumber != nil
	}
	t.listed = now
	return closed, nil
}

// wrap makes errMissed of the errors that say that records can no longer be read.
func (t *tail) wrap(verb string, err error) error {
	_, trimmed := errors.AsType[*types.TrimmedDataAccessException](err)
	_, gone := errors.AsType[*types.ResourceNotFoundException](err)
	if trimmed || gone {
		return fmt.Errorf("%s: %w: %w", verb, errMissed, err)
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// save writes the checkpoints that have changed. The view must have the effect of everything that was read.
func (t *tail) save(ctx context.Context, records Records) error {
	for id, s := range t.shards {
		if s.done && !s.listed {
			if err := records.DeleteCheckpoint(ctx, id); err != nil {
				return err
			}
			delete(t.shards, id)
			continue
		}
		next := s.checkpoint()
		if next == s.saved || next.Sequence == "" && !next.Done {
			continue
		}
		if err := records.SaveCheckpoint(ctx, next); err != nil {
			return err
		}
		s.saved = next
	}
	return nil
}
