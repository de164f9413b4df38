package worker

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync"
	"time"

	"spate/internal/queue"
)

// idleJitter is the share of the idle timeout by which workers differ, so that a fleet that ran dry together does not
// leave in one second.
const idleJitter = 0.1

// IdleTimeout is the timeout of one worker: the pool's, up to a tenth more or less, always the same for the same task.
func IdleTimeout(timeout time.Duration, taskARN string) time.Duration {
	sum := sha256.Sum256([]byte(taskARN))
	share := float64(binary.BigEndian.Uint32(sum[:]))/math.MaxUint32*2 - 1 // -1 to 1
	return timeout + time.Duration(share*idleJitter*float64(timeout))
}

// idleClock tells how long a worker has had nothing to do. A worker with a job in hand is never idle.
type idleClock struct {
	timeout time.Duration

	mu    sync.Mutex
	busy  int       // jobs in hand
	since time.Time // when the last one was finished, or the worker began
}

func newIdleClock(timeout time.Duration, now time.Time) *idleClock {
	return &idleClock{timeout: timeout, since: now}
}

// begin notes a job in hand.
func (c *idleClock) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy++
}

// end notes that a job is no longer in hand.
func (c *idleClock) end(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
	c.since = now
}

// expired reports whether the worker has been idle for its timeout.
func (c *idleClock) expired(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy == 0 && now.Sub(c.since) >= c.timeout
}

// wait is how long the next long poll may take: until the worker would be idle, in the whole seconds that SQS counts in,
// and never so short that an empty queue is asked without pause.
func (c *idleClock) wait(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy > 0 {
		return queue.MaxWait
	}
	left := c.timeout - now.Sub(c.since)
	seconds := (left + time.Second - 1).Truncate(time.Second)
	return min(max(seconds, time.Second), queue.MaxWait)
}
