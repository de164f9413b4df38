package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/rs/zerolog"

	"spate/internal/objects"
)

// patience is how long one call to S3 or SQS is repeated before the job is given back: longer than the interruptions
// that pass by themselves, because what is given back after its run must run again.
const patience = 10 * time.Minute

// Pauses between the tries of a call: doubled from first to longest.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 15 * time.Second
)

// persist repeats a call to S3 or SQS until it succeeds, answers with something that has a meaning, or no longer makes
// sense: the context ended, patience is used up, or the message is no longer held.
func persist(ctx context.Context, h *hold, what string, call func() error) error {
	start := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := call()
		if err == nil || isAnswer(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(start)+pause > patience || !h.isHeld(time.Now()) {
			return fmt.Errorf("give up after %s: %w", time.Since(start).Round(time.Second), err)
		}
		zerolog.Ctx(ctx).Warn().Err(err).Str("call", what).Dur("pause", pause).Msg("will try again")
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// persistS3 is persist for a call to S3, whose refusals are the job's failure: they do not pass by themselves, and whoever
// asked for the job can do something about them. what is a phrase such as "read input ...".
func persistS3(ctx context.Context, h *hold, what string, call func() error) error {
	return persist(ctx, h, what, func() error {
		err := call()
		if sentence, ok := refusal(err); ok {
			return jobErrorf("%s: S3 refuses it: %s", what, sentence)
		}
		return err
	})
}

// refusal returns what S3 says when it refuses a request for good: a status of 400 to 499 that neither time nor another
// try changes, nor has a meaning of its own. An error on the way to S3, as of getting credentials, is none.
func refusal(err error) (sentence string, ok bool) {
	var fromS3 s3.ResponseError
	response, answered := errors.AsType[*awshttp.ResponseError](err)
	if !answered || !errors.As(err, &fromS3) {
		return "", false
	}
	status := response.HTTPStatusCode()
	switch status {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusTooManyRequests:
		return "", false
	}
	if status < 400 || status > 499 {
		return "", false
	}
	said, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return fmt.Sprintf("HTTP status %d", status), true
	}
	if isPassing(said.ErrorCode()) {
		return "", false
	}
	return fmt.Sprintf("%s: %s (HTTP status %d)", said.ErrorCode(), said.ErrorMessage(), status), true
}

// isPassing reports whether an error code that comes with a status of 400 to 499 is about one try only: the connection,
// the clock, credentials that are about to be renewed, or too many requests (Amazon S3 API reference, "Error responses").
func isPassing(code string) bool {
	switch code {
	case "RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch", "RequestTimeTooSkewed", "ExpiredToken", "TokenRefreshRequired", "SlowDown":
		return true
	}
	return strings.Contains(code, "Throttl") // of S3 itself, and of AWS KMS by way of S3
}

// isAnswer reports whether an error says something that another try would say too.
func isAnswer(err error) bool {
	var changed *inputChangedError
	var lost *parentLostError
	var failed *jobError
	var disk *diskError
	return errors.Is(err, objects.ErrNotFound) || errors.Is(err, objects.ErrPrecondition) ||
		errors.As(err, &changed) || errors.As(err, &lost) || errors.As(err, &failed) || errors.As(err, &disk)
}

// sleep waits, or returns why the context ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Times that moving an object may take: a fixed part, and its size at a rate far below what S3 gives a task. A transfer
// that stalls is begun again.
const (
	transferBase          = time.Minute
	transferBytesASecond  = 1 << 20
	transferOfUnknownSize = 30 * time.Minute
)

// transferTime bounds one try to move size bytes; a negative size is unknown.
func transferTime(size int64) time.Duration {
	if size < 0 {
		return transferOfUnknownSize
	}
	return transferBase + time.Duration(size/transferBytesASecond)*time.Second
}
