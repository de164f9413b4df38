package sqs

import (
	"context"
	"errors"
	"strings"

	"spate/sandbox/awsjson"
	"spate/sandbox/fault"
)

// batchOutput tells of each entry of a batch apart.
type batchOutput[R any] struct {
	Successful []R           `json:"Successful"`
	Failed     []failedEntry `json:"Failed"`
}

type failedEntry struct {
	ID          string `json:"Id"`
	SenderFault bool   `json:"SenderFault"`
	Code        string `json:"Code"`
	Message     string `json:"Message"`
}

// batchEntry is one entry of a batch, named by the client.
type batchEntry interface{ entryID() string }

// eachEntry does the entries of a batch in order; one that fails does not stop
// the others. A batch that is empty, too large or ambiguous fails as a whole. Of
// a partial answer the last entries fail on the service's side, not done.
func eachEntry[E batchEntry, R any](ctx context.Context, entries []E, do func(E) (R, error)) (batchOutput[R], error) {
	out := batchOutput[R]{Successful: []R{}, Failed: []failedEntry{}}
	if err := validateBatch(entries); err != nil {
		return out, err
	}
	served := len(entries)
	if rule, ok := fault.Wanted(ctx, fault.Partial); ok {
		served = rule.Refused(len(entries))
	}
	for _, entry := range entries[served:] {
		out.Failed = append(out.Failed, failedEntry{ID: entry.entryID(), Code: "InternalError", Message: "Internal error."})
	}
	for _, entry := range entries[:served] {
		result, err := do(entry)
		if err == nil {
			out.Successful = append(out.Successful, result)
			continue
		}
		var known *awsjson.Error
		if !errors.As(err, &known) {
			return out, err
		}
		out.Failed = append(out.Failed, failedEntry{
			ID: entry.entryID(), SenderFault: true, Code: known.QueryCode, Message: known.Message,
		})
	}
	return out, nil
}

func validateBatch[E batchEntry](entries []E) error {
	if len(entries) == 0 {
		return refusal("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest",
			"There should be at least one entry in the request.")
	}
	if len(entries) > maxBatch {
		return refusal("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
			"Maximum number of entries per request are %d. You have sent %d.", maxBatch, len(entries))
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		id := entry.entryID()
		if id == "" || len(id) > 80 || strings.Trim(id, entryIDCharacters) != "" {
			return refusal("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId",
				"A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id] {
			return refusal("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id %s repeated.", id)
		}
		seen[id] = true
	}
	return nil
}

const entryIDCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
