package cache

import (
	"context"
	"errors"
	"time"

	"spate/internal/table"
)

// awaitInterval is how often an answer is looked for.
const awaitInterval = time.Second

// ErrReplaced says that a later request took the place of an earlier one: the same epoch answers both.
var ErrReplaced = errors.New("a later request to rebuild took its place")

// ErrSilent says that no process that could answer has reported for a while.
var ErrSilent = errors.New("no controller has reported on the cache for a while")

// AwaitRebuild waits until a request is answered, and tells meanwhile how things stand, each second. [ErrSilent]: nobody
// seems to be there who could answer; the request stays. [ErrReplaced]: it waits for the later request no longer.
func AwaitRebuild(ctx context.Context, t *table.Table, request RebuildRequest, tell func(Status)) (RebuildRequest, error) {
	for {
		answer, found, err := ReadRebuildRequest(ctx, t)
		switch {
		case err != nil:
			return request, err
		case !found || answer.ID != request.ID:
			return request, ErrReplaced
		case !answer.Done.IsZero():
			return answer, nil
		}
		status, found, err := ReadStatus(ctx, t)
		if err != nil {
			return request, err
		}
		if now := time.Now(); now.Sub(request.At) > StatusSilence && (!found || now.Sub(status.At) > StatusSilence) {
			return request, ErrSilent
		}
		tell(status)
		if err := sleep(ctx, awaitInterval); err != nil {
			return request, err
		}
	}
}
