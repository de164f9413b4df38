package cache

import (
	"context"
	"errors"
	"fmt"

	"spate/internal/table"
)

// Records is the cache's durable memory beside the view. Loads are strongly consistent. SaveEpoch writes a record only
// over the one of the version before it, or where there is none and the version is 1, and else returns
// table.ErrCondition; after any other error it may have been written. Methods may be called concurrently.
type Records interface {
	LoadEpoch(ctx context.Context) (Record, bool, error)
	SaveEpoch(ctx context.Context, r Record) error
	LoadCheckpoints(ctx context.Context) ([]Checkpoint, error)
	SaveCheckpoint(ctx context.Context, c Checkpoint) error
	DeleteCheckpoint(ctx context.Context, shard string) error
	Park(ctx context.Context, p Parked) error

	// LoadRebuild returns the last request for a new epoch, and AnswerRebuild writes it back unless another took its place.
	LoadRebuild(ctx context.Context) (RebuildRequest, bool, error)
	AnswerRebuild(ctx context.Context, r RebuildRequest) error
}

// Checkpoint says up to which record of a shard the view has the effect.
type Checkpoint struct {
	Shard    string `dynamodbav:"shard"`
	Sequence string `dynamodbav:"sequence"` // of the last record; empty when the shard had none
	Done     bool   `dynamodbav:"done"`     // the shard is closed and was read to its end
}

// Sort keys below table.CacheRecords.
const (
	epochRecord      = "EPOCH"
	checkpointPrefix = "SHARD#"
	cursorPrefix     = "LISTING#"
)

// TableRecords keeps Records in the runs table.
type TableRecords struct{ table *table.Table }

// NewTableRecords uses the runs table.
func NewTableRecords(t *table.Table) *TableRecords { return &TableRecords{t} }

type recordItem struct {
	table.Key
	Record
}

type checkpointItem struct {
	table.Key
	Checkpoint
}

func epochKey() table.Key { return table.Key{PK: table.CacheRecords, SK: epochRecord} }

func checkpointKey(shard string) table.Key {
	return table.Key{PK: table.CacheRecords, SK: checkpointPrefix + shard}
}

// LoadEpoch returns false when no epoch was ever begun.
func (t *TableRecords) LoadEpoch(ctx context.Context) (Record, bool, error) {
	var item recordItem
	found, err := t.table.Get(ctx, epochKey(), &item)
	if err != nil {
		return Record{}, false, fmt.Errorf("load epoch record: %w", err)
	}
	if err := item.check(); err != nil {
		return Record{}, false, fmt.Errorf("load epoch record: %w", err)
	}
	return item.Record, found, nil
}

// SaveEpoch replaces the record of the version before.
func (t *TableRecords) SaveEpoch(ctx context.Context, r Record) error {
	condition := table.Absent()
	if r.Version > 1 {
		condition = table.Condition{
			Expression: "#version = :previous",
			Names:      map[string]string{"#version": "version"},
			Values:     map[string]any{":previous": r.Version - 1},
		}
	}
	if err := t.table.Put(ctx, recordItem{epochKey(), r}, condition); err != nil {
		return fmt.Errorf("save epoch record: %w", err)
	}
	return nil
}

// LoadCheckpoints returns all of them.
func (t *TableRecords) LoadCheckpoints(ctx context.Context) ([]Checkpoint, error) {
	var checkpoints []Checkpoint
	for item, err := range table.Query[checkpointItem](ctx, t.table, table.CacheRecords, checkpointPrefix) {
		if err != nil {
			return nil, fmt.Errorf("load checkpoints: %w", err)
		}
		checkpoints = append(checkpoints, item.Checkpoint)
	}
	return checkpoints, nil
}

// SaveCheckpoint writes one shard's.
func (t *TableRecords) SaveCheckpoint(ctx context.Context, c Checkpoint) error {
	if err := t.table.Put(ctx, checkpointItem{checkpointKey(c.Shard), c}, table.Condition{}); err != nil {
		return fmt.Errorf("save checkpoint of %s: %w", c.Shard, err)
	}
	return nil
}

// DeleteCheckpoint forgets a shard; one without a checkpoint is no error.
func (t *TableRecords) DeleteCheckpoint(ctx context.Context, shard string) error {
	if err := t.table.Delete(ctx, checkpointKey(shard)); err != nil {
		return fmt.Errorf("delete checkpoint of %s: %w", shard, err)
	}
	return nil
}

// saver writes epoch records for one follower and knows its own writes again.
type saver struct {
	records  Records
	follower string
	current  Record // as last written or loaded
}

// save writes next and makes it current. [ErrSuperseded]: another follower has written since. After any other error the
// caller may try again.
func (s *saver) save(ctx context.Context, next Record) error {
	next.Follower, next.Version = s.follower, s.current.Version+1
	err := s.records.SaveEpoch(ctx, next)
	if errors.Is(err, table.ErrCondition) {
		// It may have been our own earlier try whose answer was lost.
		stored, found, loadErr := s.records.LoadEpoch(ctx)
		if loadErr != nil {
			return loadErr
		}
		if !found || stored.Follower != s.follower {
			return fmt.Errorf("save epoch record: %w", ErrSuperseded)
		}
		next.Version = stored.Version + 1
		err = s.records.SaveEpoch(ctx, next)
	}
	if err != nil {
		return err
	}
	s.current = next
	return nil
}
