package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"spate/job"
)

// DynamoDB is what the ledger uses of *dynamodb.Client, whose contract it is.
type DynamoDB interface {
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error)
	BatchWriteItem(context.Context, *dynamodb.BatchWriteItemInput, ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	Scan(context.Context, *dynamodb.ScanInput, ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
}

// Limits of one call (DynamoDB quotas), and of what is tried.
const (
	maxReads       = 100 // items of a BatchGetItem
	tries          = 8   // of a call, progress or not
	lookupTries    = 3   // of a call that somebody waits for
	parallelReads  = 16  // BatchGetItem calls of one lookup at the same time
	failedReads    = 8   // after which a lookup asks no more
	attributeKey   = "key"
	defaultWriting = 2000 // items a second
)

// Output is a ledger item: an output whose manifest is in S3.
type Output struct {
	Key       job.Key
	CreatedAt time.Time // the manifest's LastModified; whole seconds
	ExpiresAt time.Time // never later than CreatedAt plus the retention; whole seconds
	Bytes     int64     // of all its files together
	Run       string    // the run that caused it
}

type outputItem struct {
	Key       string `dynamodbav:"key"`
	CreatedAt int64  `dynamodbav:"created_at"`
	ExpiresAt int64  `dynamodbav:"expires_at"`
	Bytes     int64  `dynamodbav:"bytes"`
	Run       string `dynamodbav:"run_id"`
}

// LedgerOptions configure a Ledger. Client and Table are required; a ledger that is written needs Retention.
type LedgerOptions struct {
	Client          DynamoDB
	Table           string
	Retention       time.Duration // no item is written that expires later than this after the output was made; 0: none is written
	WritesPerSecond int           // items; default 2000
	Metrics         *Metrics
}

func (o *LedgerOptions) validate() error {
	switch {
	case o.Client == nil || o.Table == "":
		return errors.New("ledger: client and table are required")
	case o.WritesPerSecond < 0 || o.Retention < 0:
		return errors.New("ledger: writes per second or retention is negative")
	}
	if o.WritesPerSecond == 0 {
		o.WritesPerSecond = defaultWriting
	}
	return nil
}

// Ledger is the durable half of the cache: one DynamoDB item an output. Readers take an item past its expiry for
// absent, whether or not the table's time to live has deleted it, and one that they cannot read too. It is safe for concurrent use.
type Ledger struct {
	client    DynamoDB
	table     string
	retention time.Duration
	metrics   *Metrics
	locks     keyLocks
	batcher   batcher
	limiter   *rate.Limiter // of items written
	pacing    sync.Mutex    // guards pace
	pace      pace
}

// NewLedger checks the options.
func NewLedger(o LedgerOptions) (*Ledger, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	limit := float64(o.WritesPerSecond)
	l := &Ledger{
		client: o.Client, table: o.Table, retention: o.Retention, metrics: o.Metrics,
		limiter: rate.NewLimiter(rate.Limit(limit), max(maxWrites, int(limit*burstShare))), pace: newPace(limit, time.Now()),
	}
	l.batcher.send = l.send
	l.metrics.granted(limit)
	return l, nil
}

// Get reads items, strongly consistent. Keys that are absent, or expired at now, are not in the result.
func (l *Ledger) Get(ctx context.Context, now time.Time, keys ...job.Key) (map[job.Key]Output, error) {
	out := make(map[job.Key]Output, len(keys))
	for batch := range slices.Chunk(distinct(keys), maxReads) {
		if err := l.get(ctx, now, readBy{tries, true}, batch, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readBy is how items are read.
type readBy struct {
	tries      int
	consistent bool // strongly
}

// get reads up to maxReads distinct keys into a map.
func (l *Ledger) get(ctx context.Context, now time.Time, how readBy, keys []job.Key, into map[job.Key]Output) error {
	ask := types.KeysAndAttributes{ConsistentRead: &how.consistent, Keys: make([]map[string]types.AttributeValue, len(keys))}
	for i, k := range keys {
		ask.Keys[i] = itemKey(k)
	}
	err := retry(ctx, how.tries, func() (bool, error) {
		out, err := l.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{l.table: ask}})
		if err != nil {
			return false, err
		}
		for _, item := range out.Responses[l.table] {
			o, err := parseOutput(item)
			switch {
			case err != nil: // nobody can read it the next time either: it is no answer, and so a miss
				l.metrics.unread()
			case o.ExpiresAt.After(now):
				into[o.Key] = o
			}
		}
		left, more := out.UnprocessedKeys[l.table]
		if more && len(left.Keys) > 0 {
			ask = left
			ask.ConsistentRead = &how.consistent
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("read %d items of ledger: %w", len(keys), err)
	}
	return nil
}

// Lookup answers for each key, in order. Keys whose call failed are unknown, and after a few failed calls so are all
// that were not asked yet; the error is the first failure.
func (l *Ledger) Lookup(ctx context.Context, now time.Time, keys []job.Key) ([]job.Presence, error) {
	unique := distinct(keys)
	found := make(map[job.Key]job.Presence, len(unique))
	batches := slices.Collect(slices.Chunk(unique, maxReads))
	parts := make([]map[job.Key]Output, len(batches))
	errs := make([]error, len(batches))
	var failed atomic.Int64
	var calls errgroup.Group
	calls.SetLimit(parallelReads)
	for i, batch := range batches {
		calls.Go(func() error {
			if failed.Load() >= failedReads {
				errs[i] = errors.New("too many reads failed")
				return nil
			}
			parts[i] = make(map[job.Key]Output, len(batch))
			errs[i] = l.get(ctx, now, readBy{lookupTries, true}, batch, parts[i])
			if errs[i] != nil {
				failed.Add(1)
			}
			return nil
		})
	}
	_ = calls.Wait() // errs has what went wrong
	var first error
	for i, batch := range batches {
		if errs[i] != nil {
			if first == nil {
				first = errs[i]
			}
			continue
		}
		for _, k := range batch {
			found[k] = job.Miss
			if _, ok := parts[i][k]; ok {
				found[k] = job.Hit
			}
		}
	}
	presence := make([]job.Presence, len(keys))
	for i, k := range keys {
		presence[i] = found[k]
	}
	return presence, first
}

// Items is about how many outputs the ledger holds: DynamoDB counts them every six hours or so.
func (l *Ledger) Items(ctx context.Context) (int64, error) {
	out, err := l.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &l.table})
	if err != nil {
		return 0, fmt.Errorf("describe table %s: %w", l.table, err)
	}
	return aws.ToInt64(out.Table.ItemCount), nil
}

// StreamARN is the table's stream.
func (l *Ledger) StreamARN(ctx context.Context) (string, error) {
	out, err := l.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &l.table})
	if err != nil {
		return "", fmt.Errorf("describe table %s: %w", l.table, err)
	}
	arn := aws.ToString(out.Table.LatestStreamArn)
	if arn == "" {
		return "", fmt.Errorf("table %s has no stream: the view cannot follow it", l.table)
	}
	return arn, nil
}

// Exclusive keeps others that ask for one of the keys waiting until release is called: between looking at S3 and
// writing what was seen nothing may come between.
func (l *Ledger) Exclusive(keys ...job.Key) (release func()) { return l.locks.lock(keys) }

func itemKey(k job.Key) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attributeKey: &types.AttributeValueMemberS{Value: k.String()}}
}

// parseOutput takes an item apart by hand: a rebuild reads millions, and attributevalue took a third of its time.
func parseOutput(item map[string]types.AttributeValue) (Output, error) {
	p := itemParser{item: item}
	o := Output{
		CreatedAt: time.Unix(p.number("created_at"), 0), ExpiresAt: time.Unix(p.number("expires_at"), 0),
		Bytes: p.number("bytes"), Run: p.text("run_id"),
	}
	key, err := job.ParseKey(p.text(attributeKey))
	if err = cmp.Or(p.err, err); err != nil {
		return Output{}, fmt.Errorf("parse ledger item: %w", err)
	}
	o.Key = key
	return o, nil
}

// itemParser remembers the first attribute that is of another type. One that is missing is zero.
type itemParser struct {
	item map[string]types.AttributeValue
	err  error
}

func (p *itemParser) text(name string) string {
	switch v := p.item[name].(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case nil, *types.AttributeValueMemberNULL:
	default:
		p.err = cmp.Or(p.err, fmt.Errorf("attribute %s is no text", name))
	}
	return ""
}

func (p *itemParser) number(name string) int64 {
	switch v := p.item[name].(type) {
	case *types.AttributeValueMemberN:
		n, err := strconv.ParseInt(v.Value, 10, 64)
		if err != nil {
			p.err = cmp.Or(p.err, fmt.Errorf("attribute %s: %w", name, err))
		}
		return n
	case nil, *types.AttributeValueMemberNULL:
	default:
		p.err = cmp.Or(p.err, fmt.Errorf("attribute %s is no number", name))
	}
	return 0
}

func distinct(keys []job.Key) []job.Key {
	seen := make(map[job.Key]struct{}, len(keys))
	out := make([]job.Key, 0, len(keys))
	for _, k := range keys {
		if _, ok := seen[k]; !ok {
			seen[k] = struct{}{}
			out = append(out, k)
		}
	}
	return out
}
