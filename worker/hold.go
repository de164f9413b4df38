package worker

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// hold keeps a message hidden from other workers while its job is in hand. That a message was lost all the same does not
// matter for what is published; it only means that somebody else runs the job too.
type hold struct {
	jobs       JobQueue
	receipt    string
	visibility time.Duration
	log        zerolog.Logger
	cancel     context.CancelFunc
	beating    sync.WaitGroup

	mu    sync.Mutex
	until time.Time // the message is hidden at least so long
}

// startHold begins the heartbeat of a message received at now. It lasts until release, whatever becomes of ctx.
func startHold(ctx context.Context, jobs JobQueue, receipt string, visibility time.Duration) *hold {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h := &hold{
		jobs: jobs, receipt: receipt, visibility: visibility, log: *zerolog.Ctx(ctx), cancel: cancel,
		until: time.Now().Add(visibility),
	}
	h.beating.Go(func() { h.beat(ctx) })
	return h
}

func (h *hold) beat(ctx context.Context) {
	every := h.visibility / 3
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, every)
		err := h.jobs.Extend(call, h.receipt, h.visibility)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.log.Warn().Err(err).Msg("could not extend the message's visibility")
		default:
			h.mu.Lock()
			h.until = asked.Add(h.visibility)
			h.mu.Unlock()
		}
	}
}

// isHeld reports whether the message is still hidden from others, as far as is known.
func (h *hold) isHeld(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.until)
}

// release ends the heartbeat. It may be called more than once.
func (h *hold) release() {
	h.cancel()
	h.beating.Wait()
}
