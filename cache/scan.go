package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/time/rate"

	"spate/job"
)

// ScanOptions say which part of the ledger to scan, and how. The zero value is all of it, strongly consistent, as fast as
// it goes.
type ScanOptions struct {
	Segment, Segments int           // one of several scans that together see everything; 0 segments mean one
	After             string        // Page.Last of the page behind which to go on
	Eventual          bool          // half the price; the changes of about the last second may be missing
	Pace              *rate.Limiter // of read units; nil: none
}

// Page is what one call of a scan returns, at most 1 MB of items. Items that are no outputs are left out.
type Page struct {
	Outputs []Output
	Expired []job.Key // past their expiry, though time to live has not deleted them yet
	Last    string    // where to go on; empty when there is no more
}

// itemsPerUnit is how many items a read unit buys at least, where DynamoDB does not say what a page cost: 4 KB of items of
// 150 bytes, or of a few more.
const itemsPerUnit = 16

// Scan yields the ledger page by page. Pages are paid for before the next is asked for. An error ends it.
func (l *Ledger) Scan(ctx context.Context, now time.Time, o ScanOptions) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		in := &dynamodb.ScanInput{
			TableName: &l.table, ConsistentRead: aws.Bool(!o.Eventual), ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		}
		if o.Segments > 1 {
			in.Segment, in.TotalSegments = aws.Int32(int32(o.Segment)), aws.Int32(int32(o.Segments))
		}
		for after := o.After; ; {
			if after != "" {
				in.ExclusiveStartKey = map[string]types.AttributeValue{attributeKey: &types.AttributeValueMemberS{Value: after}}
			}
			var out *dynamodb.ScanOutput
			err := retry(ctx, tries, func() (done bool, err error) {
				out, err = l.client.Scan(ctx, in)
				return err == nil, err
			})
			if err != nil {
				yield(Page{}, fmt.Errorf("scan ledger: %w", err))
				return
			}
			page, err := parsePage(out, now)
			if err != nil {
				yield(Page{}, fmt.Errorf("scan ledger: %w", err))
				return
			}
			if !yield(page, nil) || page.Last == "" {
				return
			}
			if err := pay(ctx, o.Pace, cost(out)); err != nil {
				yield(Page{}, err)
				return
			}
			after = page.Last
		}
	}
}

func parsePage(out *dynamodb.ScanOutput, now time.Time) (Page, error) {
	page := Page{Outputs: make([]Output, 0, len(out.Items))}
	for _, item := range out.Items {
		o, err := parseOutput(item)
		switch {
		case err != nil: // not ours; asked for by its key, it would be no answer either
		case o.ExpiresAt.After(now):
			page.Outputs = append(page.Outputs, o)
		default:
			page.Expired = append(page.Expired, o.Key)
		}
	}
	if len(out.LastEvaluatedKey) > 0 {
		last, ok := out.LastEvaluatedKey[attributeKey].(*types.AttributeValueMemberS)
		if !ok || last.Value == "" {
			return Page{}, errors.New("the table's key is not the string " + attributeKey)
		}
		page.Last = last.Value
	}
	return page, nil
}

// cost is how many read units a page took.
func cost(out *dynamodb.ScanOutput) float64 {
	if c := out.ConsumedCapacity; c != nil && c.CapacityUnits != nil {
		return *c.CapacityUnits
	}
	return float64(out.ScannedCount) / itemsPerUnit
}

// pay waits until so many units may be used, of which there may be more than the limiter gives at once.
func pay(ctx context.Context, pace *rate.Limiter, units float64) error {
	if pace == nil {
		return nil
	}
	for left := int(math.Ceil(units)); left > 0; left -= pace.Burst() {
		if err := pace.WaitN(ctx, min(left, pace.Burst())); err != nil {
			return fmt.Errorf("wait for read units: %w", err)
		}
	}
	return nil
}

// readPace allows so many units a second, and a second's at once.
func readPace(perSecond int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond))
}
