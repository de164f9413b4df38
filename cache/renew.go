package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"spate/job"
)

// Peek reads items as Get does, but eventually consistent, at half the price: for what may be a little old.
func (l *Ledger) Peek(ctx context.Context, now time.Time, keys ...job.Key) (map[job.Key]Output, error) {
	out := make(map[job.Key]Output, len(keys))
	for batch := range slices.Chunk(distinct(keys), maxReads) {
		if err := l.get(ctx, now, readBy{tries: lookupTries}, batch, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Renew writes an output over an item of its key that is older, or ends earlier although it is of the same moment, as after
// the retention was made longer; and reports whether there was one. An item that was deleted, or that tells of a younger
// output, stays as it is. It is not counted against the writes per second, of which refreshes are
// few.
func (l *Ledger) Renew(ctx context.Context, o Output) (renewed bool, err error) {
	if err := l.mortal(o); err != nil {
		return false, fmt.Errorf("renew in ledger: %w", err)
	}
	number := func(n int64) types.AttributeValue {
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
	}
	err = retry(ctx, tries, func() (bool, error) {
		_, err := l.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &l.table, Key: itemKey(o.Key),
			UpdateExpression:    aws.String("SET created_at = :created, expires_at = :expires, #bytes = :bytes, run_id = :run"),
			ConditionExpression: aws.String("attribute_exists(#key) AND (created_at < :created OR created_at = :created AND expires_at < :expires)"),
			ExpressionAttributeNames: map[string]string{
				"#key": attributeKey, "#bytes": "bytes",
			},
			ExpressionAttributeValues: map[string]types.AttributeValue{
				":created": number(o.CreatedAt.Unix()), ":expires": number(o.ExpiresAt.Unix()), ":bytes": number(o.Bytes),
				":run": &types.AttributeValueMemberS{Value: o.Run},
			},
		})
		if _, refused := errors.AsType[*types.ConditionalCheckFailedException](err); refused {
			return true, nil
		}
		renewed = err == nil
		return renewed, err
	})
	if err != nil {
		return false, fmt.Errorf("renew %s in ledger: %w", o.Key.Short(), err)
	}
	return renewed, nil
}
