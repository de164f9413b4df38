package scaler

import (
	"context"
	"time"

	"spate/internal/queue"
)

// EventQueue holds state-change events. What is not deleted comes again after its visibility timeout. *queue.Queue is one.
type EventQueue interface {
	Receive(ctx context.Context, limit int, wait, visibility time.Duration) ([]queue.Message, error)
	Delete(ctx context.Context, receipts ...string) error
}

const (
	eventsWait       = 20 * time.Second
	eventsVisibility = 30 * time.Second
	eventsPause      = 5 * time.Second // after an error
)

// readEvents hands events to the engine and deletes them then. What cannot be read is deleted, too: it would come for ever.
// Without events workers are only looked at less often, so that no error ends it.
func (s *Scaler) readEvents(h *hands, e *Engine) {
	for h.ctx.Err() == nil {
		messages, err := s.o.Events.Receive(h.ctx, queue.MaxBatch, eventsWait, eventsVisibility)
		if err == nil {
			err = s.readBatch(h, e, messages)
		}
		if err == nil || h.ctx.Err() != nil {
			continue
		}
		s.o.Log.Warn().Err(err).Msg("cannot read task events; trying again")
		timer := time.NewTimer(eventsPause)
		select {
		case <-h.ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (s *Scaler) readBatch(h *hands, e *Engine, messages []queue.Message) error {
	var changes []TaskChange
	var receipts []string
	for _, m := range messages {
		receipts = append(receipts, m.Receipt)
		c, err := ParseTaskChange([]byte(m.Body))
		if err != nil {
			s.metrics.events.WithLabelValues("unreadable").Inc()
			s.o.Log.Warn().Err(err).Str("body", m.Body[:min(len(m.Body), 500)]).Msg("task event dropped")
			continue
		}
		changes = append(changes, c)
	}
	applied := make(chan int, 1)
	select {
	case h.finished <- func(now time.Time) error { applied <- e.TaskChanges(now, changes); return nil }:
	case <-h.ctx.Done():
		return h.ctx.Err()
	}
	ours := <-applied
	s.metrics.events.WithLabelValues("applied").Add(float64(ours))
	s.metrics.events.WithLabelValues("foreign").Add(float64(len(changes) - ours))
	if len(receipts) == 0 {
		return nil
	}
	return s.o.Events.Delete(h.ctx, receipts...)
}
