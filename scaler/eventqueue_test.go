package scaler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"spate/internal/queue"
)

// fakeEventQueue holds state-change events. It checks that none is deleted that was not received.
type fakeEventQueue struct {
	t  *testing.T
	mu sync.Mutex

	left     map[string]string // bodies by receipt
	received map[string]bool
	fails    error
	receipts int
}

func (q *fakeEventQueue) put(bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, body := range bodies {
		q.receipts++
		q.left[fmt.Sprint("receipt-", q.receipts)] = body
	}
}

func (q *fakeEventQueue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fails = err
}

func (q *fakeEventQueue) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.left)
}

func (q *fakeEventQueue) Receive(ctx context.Context, limit int, wait, _ time.Duration) ([]queue.Message, error) {
	for end := time.Now().Add(wait); ; {
		q.mu.Lock()
		var messages []queue.Message
		for receipt, body := range q.left {
			if !q.received[receipt] && len(messages) < limit {
				q.received[receipt] = true
				messages = append(messages, queue.Message{Body: body, Receipt: receipt, ReceiveCount: 1})
			}
		}
		err := q.fails
		q.mu.Unlock()
		if err != nil || len(messages) > 0 || !time.Now().Before(end) {
			return messages, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (q *fakeEventQueue) Delete(_ context.Context, receipts ...string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, receipt := range receipts {
		if !q.received[receipt] {
			q.t.Errorf("%s was deleted before it was received", receipt)
		}
		delete(q.left, receipt)
	}
	return nil
}

func TestEventsAreAppliedThenDeletedAndWhatIsNoneIsDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2)
		s.ecs.start = time.Hour
		events := &fakeEventQueue{t: t, left: map[string]string{}, received: map[string]bool{}}
		registry := prometheus.NewRegistry()
		term := s.journal.lead()
		scaler, err := New(Options{
			ECS: s.ecs, Journal: term, Term: term, Pools: []Pool{s.pool}, Log: s.log, Demand: s.demand, Events: events, Registerer: registry,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- scaler.Run(ctx) }()
		s.until("two workers that are starting", time.Minute, func() bool { return s.journal.status("rollup").Pending == 2 })

		own := func(task string) string { return eventOf(task, "RUNNING", "RUNNING", 3) }
		foreign := strings.ReplaceAll(own("arn:task/00001"), "spate-rollup", "billing")
		events.put("", "no event", foreign, own("arn:task/00000"), own("arn:task/00000"))
		took := s.until("one of them known to run", time.Minute, func() bool { return s.journal.status("rollup").Running == 1 })
		if took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		s.until("all deleted", time.Minute, func() bool { return events.count() == 0 })
		for outcome, want := range map[string]float64{"unreadable": 2, "foreign": 1, "applied": 2} {
			var m dto.Metric
			if err := scaler.metrics.events.WithLabelValues(outcome).Write(&m); err != nil || m.GetCounter().GetValue() != want {
				t.Errorf("%s: %v, %v, want %v", outcome, m.GetCounter().GetValue(), err, want)
			}
		}

		// Without events, tasks are listed twice as often, and described between the listings.
		looks := func() (listings, descriptions int) {
			listings, descriptions = s.ecs.called("ListTasks"), s.ecs.called("DescribeTasks")
			time.Sleep(10 * time.Minute)
			return s.ecs.called("ListTasks") - listings, s.ecs.called("DescribeTasks") - descriptions
		}
		if listings, descriptions := looks(); listings > 20 || descriptions > 20 {
			t.Errorf("in ten minutes %d listings and %d descriptions with events", listings, descriptions)
		}
		events.fail(errors.New("access denied"))
		if listings, descriptions := looks(); listings < 36 || listings > 40 || descriptions < 10*listings/2 {
			t.Errorf("in ten minutes %d listings and %d descriptions without events", listings, descriptions)
		}
		if limit := s.journal.status("rollup").Limit; !slices.Contains([]Limit{LimitNone, LimitMax}, limit) {
			t.Errorf("that events fail holds the pool: %s: %+v", limit, s.journal.status("rollup"))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
