package contract

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// probe is what one check works with.
type probe struct {
	ctx    context.Context //nolint:containedctx // of one check, which it bounds
	target Target
	undo   []func() // after the check, the last first
}

// broken ends a check: the fact does not hold.
type broken struct{ error }

// fail ends the check.
func fail(format string, args ...any) { panic(broken{fmt.Errorf(format, args...)}) }

// must gives an answer, or ends the check with the error.
func must[T any](answer T, err error) T {
	if err != nil {
		panic(broken{err})
	}
	return answer
}

// require ends the check unless the condition holds.
func require(holds bool, format string, args ...any) {
	if !holds {
		fail(format, args...)
	}
}

// refused ends the check unless the error is the service's with one of the codes, with or without a namespace; the error's message
// must have the words.
func refused(err error, codes []string, words ...string) {
	if err == nil {
		fail("accepted, want %s", strings.Join(codes, " or "))
	}
	answer, ok := errors.AsType[smithy.APIError](err)
	if !ok || !slices.Contains(codes, answer.ErrorCode()[strings.LastIndexByte(answer.ErrorCode(), '#')+1:]) {
		fail("want %s, got: %w", strings.Join(codes, " or "), err)
	}
	for _, word := range words {
		require(strings.Contains(answer.ErrorMessage(), word), "message %q does not say %q", answer.ErrorMessage(), word)
	}
}

// codes is a list of error codes: the JSON protocol's, and where SDKs report another, that too.
func codes(codes ...string) []string { return codes }

// pause waits.
func (p *probe) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
		fail("out of time")
	}
}

// How long and how often a check looks for what a service does in its own time.
const (
	eventuallyWithin = 25 * time.Second
	between          = 200 * time.Millisecond
)

// eventually looks until it sees what it waits for.
func (p *probe) eventually(what string, seen func() bool) {
	deadline := time.Now().Add(eventuallyWithin)
	for !seen() {
		if time.Now().After(deadline) {
			fail("not within %s: %s", eventuallyWithin, what)
		}
		p.pause(between)
	}
}

// after does something when the check has ended, however it did.
func (p *probe) after(undo func()) { p.undo = append(p.undo, undo) }

// name makes a name that nobody else has.
func (p *probe) name(prefix string) string {
	var id [6]byte
	rand.Read(id[:]) // never fails: it ends the program instead
	return prefix + "-" + hex.EncodeToString(id[:])
}

// unknownOperation changes a call into one of an operation that no service has.
func unknownOperation(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("UnknownOperation",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			if request, ok := in.Request.(*smithyhttp.Request); ok {
				service, _, _ := strings.Cut(request.Header.Get("X-Amz-Target"), ".")
				request.Header.Set("X-Amz-Target", service+".JuggleThree")
			}
			return next.HandleFinalize(ctx, in)
		}), "Signing", middleware.Before)
}
