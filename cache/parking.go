package cache

import (
	"context"
	"fmt"
	"strings"
	"time"

	"spate/internal/queue"
	"spate/internal/table"
)

// Parked is a message of the outputs queue that could not be handled and was taken off the queue.
type Parked struct {
	ID           string    `dynamodbav:"id" json:"id"`                       // of the message
	Sent         time.Time `dynamodbav:"sent" json:"sent"`                   // to the queue
	At           time.Time `dynamodbav:"at" json:"at"`                       // when it was parked
	Reason       string    `dynamodbav:"reason" json:"reason"`               // why it could not be handled
	ReceiveCount int       `dynamodbav:"receive_count" json:"receive_count"` // how often that was tried, interruptions included
	Body         string    `dynamodbav:"body" json:"body"`                   // its beginning, where it is long
	Bytes        int       `dynamodbav:"bytes" json:"bytes"`                 // of the whole body
}

const (
	// parkAfter is how often a message is received before it is parked: a manifest that cannot be read may be replaced
	// meanwhile. It is less than any sensible redrive policy's maxReceiveCount, so that parking comes first.
	parkAfter = 3
	// parkedFor is how long parked messages are kept: as long as SQS would have, at most.
	parkedFor     = 14 * 24 * time.Hour
	maxParkedBody = 32 << 10 // bytes; an item has room for 400 KB (DynamoDB quotas)

	parkedPrefix = "PARKED#"
)

// park makes the record of a message.
func park(now time.Time, m queue.Message, reason error) Parked {
	p := Parked{ID: m.ID, Sent: m.Sent.UTC(), At: now.UTC(), Reason: reason.Error(), ReceiveCount: m.ReceiveCount, Body: m.Body, Bytes: len(m.Body)}
	if m.Sent.IsZero() {
		p.Sent = p.At
	}
	if len(p.Body) > maxParkedBody {
		p.Body = strings.ToValidUTF8(p.Body[:maxParkedBody], "")
	}
	return p
}

type parkedItem struct {
	table.Key
	Parked
	ExpiresAt int64 `dynamodbav:"expires_at"`
}

// Park remembers a message for two weeks. A message is remembered once, however often it is parked.
func (t *TableRecords) Park(ctx context.Context, p Parked) error {
	item := parkedItem{
		Key:       table.Key{PK: table.CacheRecords, SK: parkedPrefix + p.Sent.UTC().Format("2006-01-02T15:04:05.000Z") + "#" + p.ID},
		Parked:    p,
		ExpiresAt: p.At.Add(parkedFor).Unix(),
	}
	if err := t.table.Put(ctx, item, table.Condition{}); err != nil {
		return fmt.Errorf("park message %s: %w", p.ID, err)
	}
	return nil
}

// Parked returns up to limit parked messages, the one that was sent last first.
func (t *TableRecords) Parked(ctx context.Context, limit int) ([]Parked, error) {
	items, err := table.QueryLast[parkedItem](ctx, t.table, table.CacheRecords, parkedPrefix, limit)
	if err != nil {
		return nil, fmt.Errorf("list parked messages: %w", err)
	}
	parked := make([]Parked, len(items))
	for i, item := range items {
		parked[i] = item.Parked
	}
	return parked, nil
}
