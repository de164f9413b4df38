package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"spate/internal/table"
)

// RebuildRequest asks the process that follows the ledger for a new epoch of the view. There is one at a time: a later
// request takes the place of an earlier one, whose epoch answers both.
type RebuildRequest struct {
	ID    string    `dynamodbav:"id" json:"id"`
	By    string    `dynamodbav:"by" json:"by"` // who asked
	At    time.Time `dynamodbav:"at" json:"at"`
	Done  time.Time `dynamodbav:"done,omitempty" json:"done,omitzero"`   // when an epoch built from the ledger went live since
	Epoch int64     `dynamodbav:"epoch,omitempty" json:"epoch,omitzero"` // that epoch
}

// requestRecord is the sort key of the request, below table.CacheRecords.
const requestRecord = "REBUILD"

type requestItem struct {
	table.Key
	RebuildRequest
}

func requestKey() table.Key { return table.Key{PK: table.CacheRecords, SK: requestRecord} }

// RequestRebuild asks for a new epoch, which is built while the live one goes on answering. It returns at once; the
// request is answered when [ReadRebuildRequest] finds it done.
func RequestRebuild(ctx context.Context, t *table.Table, by string) (RebuildRequest, error) {
	r := RebuildRequest{ID: rand.Text(), By: by, At: time.Now().UTC()}
	if err := t.Put(ctx, requestItem{requestKey(), r}, table.Condition{}); err != nil {
		return RebuildRequest{}, fmt.Errorf("request rebuild: %w", err)
	}
	return r, nil
}

// ReadRebuildRequest reads the last request; false when there never was one.
func ReadRebuildRequest(ctx context.Context, t *table.Table) (RebuildRequest, bool, error) {
	var item requestItem
	found, err := t.Get(ctx, requestKey(), &item)
	if err != nil {
		return RebuildRequest{}, false, fmt.Errorf("read rebuild request: %w", err)
	}
	return item.RebuildRequest, found, nil
}

// LoadRebuild reads the last request.
func (t *TableRecords) LoadRebuild(ctx context.Context) (RebuildRequest, bool, error) {
	return ReadRebuildRequest(ctx, t.table)
}

// AnswerRebuild marks a request done, unless another has taken its place.
func (t *TableRecords) AnswerRebuild(ctx context.Context, r RebuildRequest) error {
	err := t.table.Put(ctx, requestItem{requestKey(), r}, table.Condition{
		Expression: "#id = :id", Names: map[string]string{"#id": "id"}, Values: map[string]any{":id": r.ID},
	})
	if err != nil && !errors.Is(err, table.ErrCondition) {
		return fmt.Errorf("answer rebuild request: %w", err)
	}
	return nil
}

// requestInterval is how often a session looks for a request.
const requestInterval = 3 * time.Second

// takeRequest looks whether somebody asks for a new epoch, and answers when one has gone live. Failing costs time only.
func (s *session) takeRequest(ctx context.Context, now time.Time) {
	var err error
	switch {
	case s.request != nil && !s.request.Done.IsZero():
		if err = s.Records.AnswerRebuild(ctx, *s.request); err == nil {
			s.request = nil
		}
	case s.request == nil && now.Sub(s.asked) >= requestInterval:
		s.asked = now
		var r RebuildRequest
		var found bool
		if r, found, err = s.Records.LoadRebuild(ctx); err == nil && found && r.Done.IsZero() {
			s.request = &r
			s.Log.Info().Str("by", r.By).Time("at", r.At).Msg("a new epoch of the view is asked for")
		}
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Warn().Err(err).Msg("a request to rebuild the view waits")
	}
}
