package cache

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"spate/internal/queue"
)

const (
	// updateVisibility is the time for one batch; a message that takes longer is handled twice, which changes nothing.
	updateVisibility = 2 * time.Minute
	// extraWait is how long a receiver that a backlog called for waits for messages before it leaves.
	extraWait = time.Second
)

// Run receives until ctx ends, and then returns its error. One receiver is always there; each full batch that went well
// calls for one more, and those leave when the queue has nothing for them or something fails. So an idle queue costs one
// long poll, and services in trouble have little to refuse.
func (u *Updater) Run(ctx context.Context) error {
	var group errgroup.Group
	u.hire(ctx, &group, u.receive)
	return group.Wait()
}

// hire adds a receiver if there may be one more.
func (u *Updater) hire(ctx context.Context, group *errgroup.Group, receive func(context.Context, *errgroup.Group) error) {
	if !u.progress.receivers(+1, u.Receivers) {
		return
	}
	group.Go(func() error {
		defer u.progress.receivers(-1, u.Receivers)
		return receive(ctx, group)
	})
}

// receive is the receiver that stays.
func (u *Updater) receive(ctx context.Context, group *errgroup.Group) error {
	for failures := 0; ; {
		_, err := u.turn(ctx, group, queue.MaxWait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			failures = 0
			continue
		}
		u.Log.Warn().Err(err).Msg("notifications of outputs wait")
		if err := sleep(ctx, backoff(failures)); err != nil {
			return err
		}
		failures++
	}
}

// receiveMore is a receiver that leaves.
func (u *Updater) receiveMore(ctx context.Context, group *errgroup.Group) error {
	for {
		got, err := u.turn(ctx, group, extraWait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			u.Log.Warn().Err(err).Msg("notifications of outputs wait")
			got = 0
		}
		if got == 0 {
			return nil
		}
	}
}

// turn receives once and handles what came.
func (u *Updater) turn(ctx context.Context, group *errgroup.Group, wait time.Duration) (got int, err error) {
	messages, err := u.Queue.Receive(ctx, queue.MaxBatch, wait, updateVisibility)
	if err != nil {
		return 0, err
	}
	if len(messages) == 0 {
		if u.progress.caughtUp(time.Now()) {
			u.Metrics.caughtUp()
		}
		return 0, nil
	}
	if err := u.Handle(ctx, time.Now(), messages); err != nil {
		return len(messages), err
	}
	if len(messages) == queue.MaxBatch {
		u.hire(ctx, group, u.receiveMore)
	}
	return len(messages), nil
}
