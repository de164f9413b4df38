package scaler

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"spate/internal/price"
	"spate/internal/table"
)

// Status is a pool as last seen by the scaler that leads, for people and programs to read.
type Status struct {
	Pool        string `dynamodbav:"pool" json:"pool"`
	Outstanding int    `dynamodbav:"outstanding" json:"outstanding"` // jobs
	Wanted      int    `dynamodbav:"wanted" json:"wanted"`           // workers, as the following
	Running     int    `dynamodbav:"running" json:"running"`
	// Listed are those of the running ones of which a new controller knows only that they run or are about to.
	Listed   int `dynamodbav:"listed,omitempty" json:"listed,omitempty"`
	Pending  int `dynamodbav:"pending" json:"pending"`   // launched and not running yet
	Stopping int `dynamodbav:"stopping" json:"stopping"` // told to stop and not gone yet
	// Launched, Exited, Failed, Vanished and Stopped count tasks since the pool's first; Peak is the most at once, pending ones
	// included. Launched is exact, as it is written with the intents; tasks that ended while no controller watched may
	// be missing from the others.
	Launched int `dynamodbav:"launched" json:"launched"`
	Exited   int `dynamodbav:"exited" json:"exited"`     // with exit code 0
	Failed   int `dynamodbav:"failed" json:"failed"`     // with another one, or never started
	Vanished int `dynamodbav:"vanished" json:"vanished"` // unknown to ECS for two minutes
	Stopped  int `dynamodbav:"stopped" json:"stopped"`   // killed with their pool
	Peak     int `dynamodbav:"peak" json:"peak"`
	// PerHour is what the running and pending workers cost at list prices; nil while the size of a worker is not known.
	PerHour *price.USD `dynamodbav:"usd_per_hour" json:"usd_per_hour"`
	// Breakers are what stops the pool's growth because launches failed; none in good times.
	Breakers []Breaker `dynamodbav:"breakers,omitempty" json:"breakers"`
	// Stops are the ways in which tasks have lately ended that neither exited with code 0 nor were stopped for Spate, the newest first.
	Stops []StopCount `dynamodbav:"stops,omitempty" json:"stops"`
	// Limit and Reason are of the last decision.
	Limit  Limit     `dynamodbav:"limit" json:"limit"`
	Reason string    `dynamodbav:"reason" json:"reason"`
	At     time.Time `dynamodbav:"at" json:"at"`
	// ControlVersion is that of the Control which the last decision obeyed.
	ControlVersion int `dynamodbav:"control_version" json:"control_version"`
	// Parts is how old what is known was then, and Drift a sentence where ECS counts other tasks in the pool's cluster.
	Parts Parts  `dynamodbav:"parts" json:"parts"`
	Drift string `dynamodbav:"drift,omitempty" json:"drift,omitempty"`
}

// ReadStatus reads the statuses of all pools that there ever were, by name.
func ReadStatus(ctx context.Context, t *table.Table) ([]Status, error) {
	var statuses []Status
	for item, err := range table.Query[statusItem](ctx, t, table.PoolRecords, "") {
		if err != nil {
			return nil, fmt.Errorf("read pool statuses: %w", err)
		}
		statuses = append(statuses, item.listed())
	}
	return statuses, nil
}

// readStatus reads the status of a pool; the zero value when there is none.
func readStatus(ctx context.Context, t *table.Table, pool string) (Status, error) {
	var item statusItem
	if _, err := t.Get(ctx, table.Key{PK: table.PoolRecords, SK: pool}, &item); err != nil {
		return Status{}, fmt.Errorf("read status of pool %s: %w", pool, err)
	}
	return item.listed(), nil
}

// listed is the status with lists where there is nothing, as JSON wants them.
func (s Status) listed() Status {
	s.Breakers, s.Stops = slices.Concat([]Breaker{}, s.Breakers), slices.Concat([]StopCount{}, s.Stops)
	return s
}

// sameAs reports whether nothing but the time differs.
func (s Status) sameAs(other Status) bool {
	s.At, other.At = time.Time{}, time.Time{}
	s.Parts, other.Parts = Parts{}, Parts{}
	return reflect.DeepEqual(s, other)
}

// perHour is what workers cost at list prices, or nil while their size is not known.
func perHour(size WorkerSize, byProvider map[string]int) *price.USD {
	if !size.isKnown() {
		return nil
	}
	var sum price.USD
	for provider, n := range byProvider {
		sum += price.USD(float64(n) * size.perHour(provider))
	}
	return &sum
}
