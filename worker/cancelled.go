package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/job"
)

// How a run's mark is looked for.
const (
	markFresh = time.Second     // how long it is believed that there is none
	markTime  = 5 * time.Second // for one look
	markMost  = 1000            // runs that are remembered
)

// marks remembers of which runs it is known that they are, or a moment ago were not, cancelled. It is safe for
// concurrent use.
type marks struct {
	mu     sync.Mutex
	looked map[string]look // by run
}

type look struct {
	at        time.Time
	cancelled bool // for good
}

func (m *marks) get(run string, now time.Time) (cancelled, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.looked[run]
	return l.cancelled, ok && (l.cancelled || now.Sub(l.at) < markFresh)
}

func (m *marks) set(run string, l look) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.looked == nil || len(m.looked) >= markMost {
		m.looked = map[string]look{}
	}
	m.looked[run] = l
}

// isCancelled looks whether a run is marked as cancelled. Not to know means no: a job too many is harmless, and a worker
// that may not read the mark, or cannot now, works all the same.
func (w *Worker) isCancelled(ctx context.Context, run string) bool {
	now := time.Now()
	if cancelled, known := w.marks.get(run, now); known {
		return cancelled
	}
	call, cancel := context.WithTimeout(ctx, markTime)
	defer cancel()
	_, _, err := w.opt.Objects.Get(call, job.CancelledPath(run))
	if err != nil && !errors.Is(err, objects.ErrNotFound) && !errors.Is(err, objects.ErrDenied) && ctx.Err() == nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("could not look whether the run is cancelled; going on")
	}
	w.marks.set(run, look{at: now, cancelled: err == nil})
	return err == nil
}
