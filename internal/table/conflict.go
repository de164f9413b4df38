package table

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A write that meets a transaction on one of its items is refused without effect, and so is a transaction that meets
// another write (Amazon DynamoDB developer guide, "Transaction conflict handling"). All
// transactions under a lease check the lease's item, so that they meet each other and its renewals. They are sent again
// after pauses that double from the first to the longest: about two seconds in all.
const (
	conflictTries        = 12
	firstConflictPause   = 10 * time.Millisecond
	longestConflictPause = 320 * time.Millisecond
)

// pastConflicts calls do until it meets no other write, or too many.
func pastConflicts(ctx context.Context, do func() error) error {
	pause := firstConflictPause
	for try := 1; ; try++ {
		err := do()
		if !conflict(err) || try == conflictTries {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		pause = min(2*pause, longestConflictPause)
	}
}

// conflict reports whether a write was refused for others' sake only: one that would fail anyway is not worth another
// try.
func conflict(err error) bool {
	if _, ok := errors.AsType[*types.TransactionConflictException](err); ok {
		return true
	}
	cancelled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return false
	}
	passing := false
	for _, reason := range cancelled.CancellationReasons {
		switch aws.ToString(reason.Code) {
		case "", "None":
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			passing = true
		default:
			return false
		}
	}
	return passing
}
