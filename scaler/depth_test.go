package scaler

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/queue"
)

func TestADepthRisesAtOnceAndFallsAfterAMinuteOfLess(t *testing.T) {
	began := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	type answer struct {
		after time.Duration // since the one before
		jobs  int
	}
	for name, c := range map[string]struct {
		answers []answer
		want    int
	}{
		"the first answer counts as it is":  {[]answer{{0, 7}}, 7},
		"more counts at once":               {[]answer{{0, 7}, {time.Second, 9000}}, 9000},
		"a single zero is no emptiness":     {[]answer{{0, 7}, {time.Second, 0}, {time.Second, 7}}, 7},
		"nor are 59 seconds of it":          {append([]answer{{0, 7}}, repeated(59, answer{time.Second, 0})...), 7},
		"a minute of it is":                 {append([]answer{{0, 7}}, repeated(61, answer{time.Second, 0})...), 0},
		"less is what was most in a minute": {append([]answer{{0, 90}, {time.Second, 40}}, repeated(59, answer{time.Second, 30})...), 40},
		"time without answers is no watching": {
			append([]answer{{0, 7}}, repeated(3, answer{time.Hour, 0})...), 7,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var d depth
			if _, _, known := d.jobs(); known {
				t.Error("known before the first answer")
			}
			at := began
			for _, a := range c.answers {
				at = at.Add(a.after)
				d.saw(at, a.jobs)
			}
			if jobs, when, known := d.jobs(); jobs != c.want || !when.Equal(at) || !known {
				t.Errorf("%d jobs at %s (known: %v), want %d", jobs, when, known, c.want)
			}
		})
	}
}

func repeated[T any](n int, x T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = x
	}
	return all
}

// The oracle keeps everything and looks at all of it.
func TestADepthIsTheMostOfAMinutesAnswers(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var d depth
		var times []time.Duration
		var jobs []int
		at, watched := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), time.Duration(0)
		for range 300 {
			step := time.Duration(random.IntN(2000)) * time.Millisecond
			if random.IntN(50) == 0 {
				step = time.Duration(random.IntN(300)) * time.Second
			}
			if len(times) > 0 {
				watched += min(step, 5*time.Second)
			}
			at = at.Add(step)
			times, jobs = append(times, watched), append(jobs, random.IntN(1000))
			d.saw(at, jobs[len(jobs)-1])
			want := 0
			for i := range times {
				if watched-times[i] < time.Minute {
					want = max(want, jobs[i])
				}
			}
			if got, _, _ := d.jobs(); got != want {
				t.Fatalf("%d jobs, want %d", got, want)
			}
		}
	}
}

// sayingQueue answers what it is told to.
type sayingQueue struct {
	mu    sync.Mutex
	depth queue.Depth
	err   error
}

func (q *sayingQueue) say(d queue.Depth, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.depth, q.err = d, err
}

func (q *sayingQueue) Depth(context.Context) (queue.Depth, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.depth, q.err
}

func TestDepthsKeepWhatTheyKnowOfAQueueThatDoesNotAnswerWithItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &sayingQueue{err: errors.New("no route to host")}
		grown := make(chan struct{}, 100)
		d, err := NewDepths(DepthsOptions{Queues: map[string]DepthQueue{"feeds": q}, Grew: func() { grown <- struct{}{} }, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		time.Sleep(time.Minute)
		if _, _, known := d.Jobs("feeds"); known {
			t.Error("known though the queue has never answered")
		}

		q.say(queue.Depth{Visible: 5, InFlight: 2, Delayed: 100}, nil)
		time.Sleep(1500 * time.Millisecond)
		if jobs, _, known := d.Jobs("feeds"); jobs != 7 || !known || len(grown) != 1 {
			t.Errorf("%d jobs (known: %v), woken %d times", jobs, known, len(grown))
		}

		q.say(queue.Depth{}, errors.New("no route to host"))
		time.Sleep(time.Hour)
		if jobs, at, known := d.Jobs("feeds"); jobs != 7 || !known || time.Since(at) < time.Hour-3*time.Second {
			t.Errorf("%d jobs, %s old (known: %v)", jobs, time.Since(at), known)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
