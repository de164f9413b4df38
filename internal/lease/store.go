package lease

import (
	"context"

	"spate/internal/table"
)

// InTable keeps the record in the runs table.
func InTable(t *table.Table) Store { return tableStore{t} }

type tableStore struct{ table *table.Table }

func (s tableStore) Load(ctx context.Context, name string) (*Record, error) {
	var r Record
	ok, err := s.table.Get(ctx, table.Key{PK: table.LeaseRecords, SK: name}, &r)
	if err != nil || !ok {
		return nil, err
	}
	return &r, nil
}

func (s tableStore) Swap(ctx context.Context, previous *Record, next Record) error {
	if previous == nil {
		return s.table.Put(ctx, next, table.Absent())
	}
	return s.table.Put(ctx, next, table.Condition{
		Expression: "fence = :fence AND renewal = :renewal",
		Values:     map[string]any{":fence": previous.Fence, ":renewal": previous.Renewal},
	})
}
