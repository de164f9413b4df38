package cache

import (
	"context"
	"fmt"
	"time"

	"spate/internal/table"
)

// Cursors are the durable memory of [RebuildLedger]. Loads are strongly consistent; methods may be called concurrently.
type Cursors interface {
	LoadCursors(ctx context.Context) ([]Cursor, error)
	SaveCursor(ctx context.Context, c Cursor) error
}

// Cursor is how far one prefix of the bucket has been listed.
type Cursor struct {
	Prefix  string    `dynamodbav:"prefix"`            // the two digits below outputs/
	Began   time.Time `dynamodbav:"began"`             // when the try began that it belongs to
	After   string    `dynamodbav:"after"`             // the last object that has been dealt with
	Pending []string  `dynamodbav:"pending,omitempty"` // keys that may be in the ledger without having been looked at since
	Done    bool      `dynamodbav:"done"`
}

type cursorItem struct {
	table.Key
	Cursor
}

// LoadCursors returns all of them.
func (t *TableRecords) LoadCursors(ctx context.Context) ([]Cursor, error) {
	var cursors []Cursor
	for item, err := range table.Query[cursorItem](ctx, t.table, table.CacheRecords, cursorPrefix) {
		if err != nil {
			return nil, fmt.Errorf("load cursors: %w", err)
		}
		cursors = append(cursors, item.Cursor)
	}
	return cursors, nil
}

// SaveCursor writes one prefix's.
func (t *TableRecords) SaveCursor(ctx context.Context, c Cursor) error {
	key := table.Key{PK: table.CacheRecords, SK: cursorPrefix + c.Prefix}
	if err := t.table.Put(ctx, cursorItem{key, c}, table.Condition{}); err != nil {
		return fmt.Errorf("save cursor of %s: %w", c.Prefix, err)
	}
	return nil
}
