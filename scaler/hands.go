package scaler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// callTimeout is how long a call of ECS may take; after it, what became of a request is unknown.
	callTimeout = 10 * time.Second
	// writeTimeout bounds a write of the journal, which the engine waits for.
	writeTimeout = 10 * time.Second
)

// ErrNotSent says that a request was not sent, because its time or the leader's was over.
var ErrNotSent = errors.New("request not sent")

// hands are an engine's on a real account. Each call has a goroutine of its own; what becomes of it is handed to the
// goroutine that drives the engine.
type hands struct {
	ctx        context.Context //nolint:containedctx // of the engine's life
	ecs        ECS
	journal    Journal
	levers     Levers
	background sync.WaitGroup
	finished   chan func(now time.Time) error
}

func (h *hands) RunTask(in *ecs.RunTaskInput, allowed func(now time.Time) bool, done func(time.Time, *ecs.RunTaskOutput, error) error) {
	beside(h, func(ctx context.Context) (*ecs.RunTaskOutput, error) {
		if !allowed(time.Now()) {
			return nil, ErrNotSent
		}
		return h.ecs.RunTask(ctx, in, ifStillAllowed(allowed))
	}, done)
}

// ifStillAllowed asks again once the request is signed, with the time that its signature bears: waiting for credentials, or
// being suspended, may have taken long. AWS refuses a signature that is more than a few minutes old ("Troubleshoot
// Signature Version 4 signing for AWS API requests"), so that nothing which happens later can make the request come late.
func ifStillAllowed(allowed func(now time.Time) bool) func(*ecs.Options) {
	check := middleware.FinalizeMiddlewareFunc("IfStillAllowed", func(
		ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
	) (middleware.FinalizeOutput, middleware.Metadata, error) {
		request, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, fmt.Errorf("%w: a request of type %T", ErrNotSent, in.Request)
		}
		signed, err := time.Parse("20060102T150405Z", request.Header.Get("X-Amz-Date"))
		if err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, fmt.Errorf("%w: when it was signed is unknown: %w", ErrNotSent, err)
		}
		if !allowed(signed) {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, ErrNotSent
		}
		return next.HandleFinalize(ctx, in)
	})
	return func(o *ecs.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Finalize.Insert(check, "Signing", middleware.After)
		})
	}
}

func (h *hands) ListTasks(in *ecs.ListTasksInput, done func(time.Time, *ecs.ListTasksOutput, error) error) {
	beside(h, func(ctx context.Context) (*ecs.ListTasksOutput, error) { return h.ecs.ListTasks(ctx, in) }, done)
}

func (h *hands) DescribeTasks(in *ecs.DescribeTasksInput, done func(time.Time, *ecs.DescribeTasksOutput, error) error) {
	beside(h, func(ctx context.Context) (*ecs.DescribeTasksOutput, error) { return h.ecs.DescribeTasks(ctx, in) }, done)
}

func (h *hands) StopTask(in *ecs.StopTaskInput, done func(time.Time, *ecs.StopTaskOutput, error) error) {
	beside(h, func(ctx context.Context) (*ecs.StopTaskOutput, error) { return h.ecs.StopTask(ctx, in) }, done)
}

func (h *hands) DescribeClusters(in *ecs.DescribeClustersInput, done func(time.Time, *ecs.DescribeClustersOutput, error) error) {
	beside(h, func(ctx context.Context) (*ecs.DescribeClustersOutput, error) { return h.ecs.DescribeClusters(ctx, in) }, done)
}

func (h *hands) ReadControls(done func(time.Time, map[string]Control, error) error) {
	beside(h, h.levers.ReadControls, done)
}

func (h *hands) MarkDrained(pool string, at time.Time, done func(time.Time, struct{}, error) error) {
	beside(h, func(ctx context.Context) (struct{}, error) { return struct{}{}, h.levers.MarkDrained(ctx, pool, at) }, done)
}

func (h *hands) Write(r Records) error {
	ctx, cancel := context.WithTimeout(h.ctx, writeTimeout)
	defer cancel()
	return h.journal.Write(ctx, r)
}

// beside makes a call in a goroutine of its own.
func beside[T any](h *hands, call func(ctx context.Context) (T, error), done func(time.Time, T, error) error) {
	h.background.Go(func() {
		ctx, cancel := context.WithTimeout(h.ctx, callTimeout)
		defer cancel()
		out, err := call(ctx)
		select {
		case h.finished <- func(now time.Time) error { return done(now, out, err) }:
		case <-h.ctx.Done():
		}
	})
}
