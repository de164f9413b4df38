package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/time/rate"

	"spate/internal/awsclient"
	"spate/job"
)

// maxWrites is the most items of a BatchWriteItem (Amazon DynamoDB API reference).
const maxWrites = 25

// WriteError is what a write could not bring into the ledger, by key. Of some of these it is unknown whether they were
// written.
type WriteError struct{ Failed map[job.Key]error }

// Error names the number of items and one of the reasons.
func (e *WriteError) Error() string {
	for _, err := range e.Failed {
		return fmt.Sprintf("write ledger: %d items failed, one of them because of: %v", len(e.Failed), err)
	}
	return "write ledger: no item failed"
}

// Unwrap returns the reasons.
func (e *WriteError) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for _, err := range e.Failed {
		errs = append(errs, err)
	}
	return errs
}

// Write puts and deletes items, together with those of other callers, at the ledger's pace. Of several puts of one key the
// last to expire counts; a key must not be both put and deleted. A [WriteError] says which items failed; the caller may
// repeat them, or the whole. After any other error nothing was written.
//
// What is written is what the caller saw in S3: between looking and writing it holds the keys ([Ledger.Exclusive]).
func (l *Ledger) Write(ctx context.Context, puts []Output, deletes []job.Key) error {
	writes, err := l.writes(puts, deletes)
	if err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if failed := l.batcher.do(ctx, writes); len(failed) > 0 {
		return &WriteError{failed}
	}
	return nil
}

// buried is how long before now a buried key's item expired: no two clocks are so far apart that it is a hit to one of them.
const buried = time.Hour

// bury puts an item of the key that is past its expiry over any there is, to be deleted next. The stream tells nothing of the
// deletion of an item that is not there; of this one it tells, so that the follower takes the key out of a view that alone has
// it, whichever process asks for that.
func (l *Ledger) bury(ctx context.Context, now time.Time, key job.Key) error {
	return l.Write(ctx, []Output{{Key: key, CreatedAt: now, ExpiresAt: now.Add(-buried)}}, nil)
}

func (l *Ledger) writes(puts []Output, deletes []job.Key) ([]*write, error) {
	byKey := make(map[job.Key]Output, len(puts))
	for _, o := range puts {
		if err := l.mortal(o); err != nil {
			return nil, err
		}
		if have, ok := byKey[o.Key]; !ok || o.ExpiresAt.After(have.ExpiresAt) {
			byKey[o.Key] = o
		}
	}
	writes := make([]*write, 0, len(byKey)+len(deletes))
	for _, o := range byKey {
		item, err := attributevalue.MarshalMap(outputItem{o.Key.String(), o.CreatedAt.Unix(), o.ExpiresAt.Unix(), o.Bytes, o.Run})
		if err != nil {
			return nil, err
		}
		writes = append(writes, &write{key: o.Key, request: types.WriteRequest{PutRequest: &types.PutRequest{Item: item}}})
	}
	for _, k := range distinct(deletes) {
		if _, both := byKey[k]; both {
			return nil, fmt.Errorf("%s is both put and deleted", k.Short())
		}
		writes = append(writes, &write{key: k, request: types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: itemKey(k)}}})
	}
	return writes, nil
}

// mortal returns an error when an item would outlive what is promised of its output.
func (l *Ledger) mortal(o Output) error {
	if lives := o.ExpiresAt.Sub(o.CreatedAt); lives > l.retention {
		return fmt.Errorf("%s would expire %s after it was made, which is beyond the retention of %s", o.Key.Short(), lives, l.retention)
	}
	return nil
}

// send writes a batch, again and again what was left of it. Each try waits for its items' turn.
func (l *Ledger) send(ctx context.Context, batch []*write) map[job.Key]error {
	left := make([]types.WriteRequest, len(batch))
	for i, w := range batch {
		left[i] = w.request
	}
	err := retry(ctx, tries, func() (bool, error) {
		if err := l.limiter.WaitN(ctx, len(left)); err != nil {
			return false, err
		}
		sent := len(left)
		out, err := l.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{l.table: left},
		}, unretried)
		switch {
		case err == nil:
			left = out.UnprocessedItems[l.table]
			l.report(sent-len(left), len(left))
		case awsclient.Classify(err) == awsclient.ClassThrottled:
			l.report(0, sent)
		}
		return err == nil && len(left) == 0, err
	})
	if err == nil {
		return nil
	}
	failed := make(map[job.Key]error, len(left))
	for _, r := range left {
		key, parseErr := keyOf(r)
		if parseErr != nil { // the service's answer makes no sense: nothing of the batch is certain
			for _, w := range batch {
				failed[w.key] = errors.Join(err, parseErr)
			}
			return failed
		}
		failed[key] = err
	}
	return failed
}

// unretried leaves all retries to the ledger: those of the SDK would take no turn, and hide what the table refuses.
func unretried(o *dynamodb.Options) { o.Retryer = aws.NopRetryer{} }

// report lets the rate follow what became of a call's items.
func (l *Ledger) report(taken, refused int) {
	l.pacing.Lock()
	defer l.pacing.Unlock()
	now := time.Now()
	granted := l.pace.report(now, taken, refused)
	if rate.Limit(granted) != l.limiter.Limit() {
		l.limiter.SetLimitAt(now, rate.Limit(granted))
	}
	l.metrics.wrote(taken, refused)
	l.metrics.granted(granted)
}

// Pace is how many items a second may be written now, and how many at most, as configured. Now it is less where the table
// refused some.
func (l *Ledger) Pace(now time.Time) (granted, limit float64) {
	l.pacing.Lock()
	defer l.pacing.Unlock()
	return l.pace.at(now), l.pace.limit
}

// keyOf is the key that a request is about.
func keyOf(r types.WriteRequest) (job.Key, error) {
	var item map[string]types.AttributeValue
	switch {
	case r.PutRequest != nil:
		item = r.PutRequest.Item
	case r.DeleteRequest != nil:
		item = r.DeleteRequest.Key
	}
	key, ok := item[attributeKey].(*types.AttributeValueMemberS)
	if !ok {
		return job.Key{}, errors.New("a request that was left unprocessed has no key")
	}
	return job.ParseKey(key.Value)
}
