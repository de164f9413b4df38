package scaler

import (
	"context"
	"fmt"
	"time"

	"spate/internal/table"
)

// Status is a pool as last seen by the scaler that leads, for people and programs to read.
type Status struct {
	Pool        string `dynamodbav:"pool" json:"pool"`
	Outstanding int    `dynamodbav:"outstanding" json:"outstanding"` // jobs
	Wanted      int    `dynamodbav:"wanted" json:"wanted"`           // workers, as the following
	Running     int    `dynamodbav:"running" json:"running"`
	Pending     int    `dynamodbav:"pending" json:"pending"` // launched and not running yet
	// Launched, Exited, Failed and Vanished count tasks since the pool's first; Peak is the most at once, pending ones
	// included. Launched is exact, as it is written with the intents; tasks that ended while no controller watched may
	// be missing from the others.
	Launched int `dynamodbav:"launched" json:"launched"`
	Exited   int `dynamodbav:"exited" json:"exited"`     // with exit code 0
	Failed   int `dynamodbav:"failed" json:"failed"`     // with another one, or never started
	Vanished int `dynamodbav:"vanished" json:"vanished"` // unknown to ECS for two minutes
	Peak     int `dynamodbav:"peak" json:"peak"`
	// Limit and Reason are of the last decision.
	Limit  Limit     `dynamodbav:"limit" json:"limit"`
	Reason string    `dynamodbav:"reason" json:"reason"`
	At     time.Time `dynamodbav:"at" json:"at"`
}

// ReadStatus reads the statuses of all pools that there ever were, by name.
func ReadStatus(ctx context.Context, t *table.Table) ([]Status, error) {
	var statuses []Status
	for item, err := range table.Query[statusItem](ctx, t, table.PoolRecords, "") {
		if err != nil {
			return nil, fmt.Errorf("read pool statuses: %w", err)
		}
		statuses = append(statuses, item.Status)
	}
	return statuses, nil
}

// sameAs reports whether nothing but the time differs.
func (s Status) sameAs(other Status) bool {
	s.At, other.At = time.Time{}, time.Time{}
	return s == other
}
