package sqs

import (
	"fmt"
	"math/rand/v2"
	"time"

	"spate/sandbox/fault"
)

// Habits are what standard queues do that nobody likes ("Amazon SQS standard queues", "at-least-once delivery",
// "best-effort ordering"). The zero value is a queue at its best.
type Habits struct {
	// DepthLag is how old the depths are that GetQueueAttributes tells.
	DepthLag fault.Duration `json:"depth_lag"`
	// Duplicates is the share of deliveries after which the message shows again within a second, in hand though it is.
	Duplicates float64 `json:"duplicates"`
	// Shuffle is among how many of the oldest messages each delivery chooses; 0 and 1 keep the order.
	Shuffle int `json:"shuffle"`
	// EmptyReceives is the share of short polls that find nothing although there is something: they ask only some of the
	// service's servers.
	EmptyReceives float64 `json:"empty_receives"`
	// InFlight is how many messages of a queue may be in flight; beyond it receives return nothing. 0: 120,000.
	InFlight int `json:"in_flight"`
}

// Usual are habits as they are seen.
func Usual() Habits {
	return Habits{DepthLag: fault.Duration(30 * time.Second), Duplicates: 0.001, Shuffle: 10, EmptyReceives: 0.05}
}

func (h Habits) validate() error {
	switch {
	case h.DepthLag < 0 || h.Shuffle < 0 || h.InFlight < 0:
		return fmt.Errorf("depth_lag, shuffle and in_flight must not be negative")
	case h.Duplicates < 0 || h.Duplicates > 1 || h.EmptyReceives < 0 || h.EmptyReceives > 1:
		return fmt.Errorf("duplicates and empty_receives are shares from 0 to 1")
	}
	return nil
}

// Habits are those of all queues, as they stand.
func (s *Server) Habits() Habits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chance.Habits
}

// SetHabits changes them from now on.
func (s *Server) SetHabits(h Habits) error {
	if err := h.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, q := range s.queues {
		q.advance(now)
		q.age(now, time.Duration(h.DepthLag))
	}
	s.chance.Habits = h
	return nil
}

// chance decides what the habits leave open. All queues share one; the lock must be held.
type chance struct {
	Habits
	random *rand.Rand
}

// againWithin is how soon a message shows again that is delivered twice.
const againWithin = time.Second

// choose says which of n messages is delivered.
func (c *chance) choose(n int) int {
	if window := min(c.Shuffle, n); window > 1 {
		return c.random.IntN(window)
	}
	return 0
}

// hideFor says for how long a delivered message is hidden. twice: it is to be delivered again.
func (c *chance) hideFor(visibility time.Duration, twice bool) time.Duration {
	if twice || c.Duplicates > 0 && c.random.Float64() < c.Duplicates {
		return min(visibility, max(1, time.Duration(c.random.Float64()*float64(againWithin))))
	}
	return visibility
}

// isBlind says whether a short poll finds nothing.
func (c *chance) isBlind() bool {
	return c.EmptyReceives > 0 && c.random.Float64() < c.EmptyReceives
}

func (c *chance) inFlightLimit() int {
	if c.InFlight == 0 {
		return maxInFlight
	}
	return c.InFlight
}

// sample is a queue's depths at one time.
type sample struct {
	at     time.Time
	counts [gone + 1]int
}

// sampleEvery is how densely depths are remembered.
const sampleEvery = 250 * time.Millisecond

// remember keeps the depths after a change, or as someone who asks finds them, and forgets those that nobody can be told any more.
func (q *queue) remember(now time.Time, lag time.Duration) {
	if lag == 0 {
		q.samples = nil
		return
	}
	if n := len(q.samples); n > 0 && now.Sub(q.samples[n-1].at) < sampleEvery {
		q.samples[n-1].counts = q.counts
	} else {
		q.samples = append(q.samples, sample{now, q.counts})
	}
	old := 0
	for old+1 < len(q.samples) && now.Sub(q.samples[old+1].at) >= lag {
		old++
	}
	q.samples = q.samples[old:]
}

// age makes depths that lag from now on begin with those of now, where nothing older is known.
func (q *queue) age(now time.Time, lag time.Duration) {
	if lag == 0 {
		q.samples = nil
		return
	}
	if len(q.samples) == 0 {
		q.samples = []sample{{counts: q.counts}}
	}
	if then := now.Add(-lag); q.samples[0].at.After(then) {
		q.samples[0].at = then
	}
}

// depths are the counts as they are told: those of a while ago.
func (q *queue) depths(now time.Time, lag time.Duration) [gone + 1]int {
	if lag == 0 {
		return q.counts
	}
	var told [gone + 1]int
	for _, s := range q.samples {
		if now.Sub(s.at) < lag {
			break
		}
		told = s.counts
	}
	return told
}
