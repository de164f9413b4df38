package s3

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"

	"spate/sandbox/fault"
	"spate/sandbox/limit"
)

// Habits are how fast prefixes are, what becomes of notifications and conditional writes, and how ETags are made.
type Habits struct {
	// Writes and Reads are requests a second of one prefix, which here is a key up to its second slash. Beyond it requests are
	// refused with SlowDown. Those with a Burst of 0 are not limited.
	Writes limit.Rate `json:"writes"`
	Reads  limit.Rate `json:"reads"`
	// NotificationsFrom and NotificationsTo bound how late notifications are; drawn for each, so that they change their order.
	NotificationsFrom fault.Duration `json:"notifications_from"`
	NotificationsTo   fault.Duration `json:"notifications_to"`
	// NotifiedTwice is the share of notifications that come twice.
	NotifiedTwice float64 `json:"notified_twice"`
	// Conflicts is the share of conditional writes that are refused with ConditionalRequestConflict, as when another was under way.
	Conflicts float64 `json:"conflicts"`
	// HideMissing answers reads of keys that are not there with 403, as for a caller without s3:ListBucket.
	HideMissing bool `json:"hide_missing"`
	// KMS gives each object that is written an ETag of its own, as where AWS KMS encrypts them: the same bytes put again, or
	// copied, have another.
	KMS bool `json:"kms"`
	// LifecycleDelay is how long after the midnight at which an object expires it is deleted.
	LifecycleDelay fault.Duration `json:"lifecycle_delay"`
}

// Usual are the documented rates, and habits as they are seen ("Best practices design patterns: optimizing Amazon S3
// performance", "Amazon S3 Event Notifications").
func Usual() Habits {
	return Habits{
		Writes: limit.Rate{Burst: 3500, PerSecond: 3500}, Reads: limit.Rate{Burst: 5500, PerSecond: 5500},
		NotificationsFrom: fault.Duration(100 * time.Millisecond), NotificationsTo: fault.Duration(2 * time.Second),
		NotifiedTwice: 0.001, LifecycleDelay: fault.Duration(6 * time.Hour),
	}
}

func (h Habits) validate() error {
	switch {
	case h.Writes.Burst < 0 || h.Writes.PerSecond < 0 || h.Reads.Burst < 0 || h.Reads.PerSecond < 0:
		return fmt.Errorf("writes and reads must not be negative")
	case h.NotificationsFrom < 0 || h.NotificationsTo < h.NotificationsFrom:
		return fmt.Errorf("notifications_from must be 0 or more, and notifications_to no less")
	case h.NotifiedTwice < 0 || h.NotifiedTwice > 1 || h.Conflicts < 0 || h.Conflicts > 1:
		return fmt.Errorf("notified_twice and conflicts are shares from 0 to 1")
	case h.LifecycleDelay < 0:
		return fmt.Errorf("lifecycle_delay must not be negative")
	}
	return nil
}

// Habits are those of all buckets, as they stand.
func (s *Server) Habits() Habits {
	s.chance.mu.Lock()
	defer s.chance.mu.Unlock()
	return s.chance.habits
}

// SetHabits changes them from now on.
func (s *Server) SetHabits(h Habits) error {
	if err := h.validate(); err != nil {
		return err
	}
	s.chance.mu.Lock()
	defer s.chance.mu.Unlock()
	s.chance.habits = h
	return nil
}

// chance decides what the habits leave open, and counts requests.
type chance struct {
	mu       sync.Mutex
	habits   Habits
	random   *rand.Rand
	prefixes map[string]*traffic // by bucket and prefix
}

type traffic struct{ writes, reads limit.Bucket }

// Errors that the library does not have.
const (
	errSlowDown = gofakes3.ErrorCode("SlowDown")
	errConflict = gofakes3.ErrorCode("ConditionalRequestConflict")
	errDenied   = gofakes3.ErrorCode("AccessDenied")
)

// maxPrefixes is from how many prefixes on those at rest are forgotten.
const maxPrefixes = 10_000

// admit counts a request of a key, or says that its prefix has had too many.
func (c *chance) admit(now time.Time, bucketName, key string, isWrite bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	rate := c.habits.Reads
	if isWrite {
		rate = c.habits.Writes
	}
	if rate.Burst == 0 {
		return nil
	}
	if len(c.prefixes) >= maxPrefixes {
		for name, t := range c.prefixes {
			if t.writes.IsFull(now, c.habits.Writes) && t.reads.IsFull(now, c.habits.Reads) {
				delete(c.prefixes, name)
			}
		}
	}
	name := bucketName + "/" + prefixOf(key)
	t := c.prefixes[name]
	if t == nil {
		t = &traffic{}
		c.prefixes[name] = t
	}
	b := &t.reads
	if isWrite {
		b = &t.writes
	}
	if !b.Has(now, rate, 1) {
		return gofakes3.ErrorMessage(errSlowDown, "Please reduce your request rate.")
	}
	b.Take(1)
	return nil
}

// prefixOf is a key up to its second slash.
func prefixOf(key string) string {
	first := strings.IndexByte(key, '/')
	if first < 0 {
		return ""
	}
	if second := strings.IndexByte(key[first+1:], '/'); second >= 0 {
		return key[:first+1+second]
	}
	return key[:first]
}

// conflict refuses a share of the conditional writes.
func (c *chance) conflict(given conditions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if given == (conditions{}) || c.habits.Conflicts == 0 || c.random.Float64() >= c.habits.Conflicts {
		return nil
	}
	return gofakes3.ErrorMessage(errConflict, "The conditional request cannot succeed due to a conflicting operation against this resource.")
}

// delivery is how late a notification is, and how often it comes.
func (c *chance) delivery() (late []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	times := 1
	if c.habits.NotifiedTwice > 0 && c.random.Float64() < c.habits.NotifiedTwice {
		times = 2
	}
	for range times {
		from, to := time.Duration(c.habits.NotificationsFrom), time.Duration(c.habits.NotificationsTo)
		late = append(late, from+time.Duration(c.random.Float64()*float64(to-from)))
	}
	return late
}

// NotificationOperation is what faults call the delivery of a notification.
const NotificationOperation = "Notification"

// deliver sends a notification to a queue, now or later, once or more often.
func (s *Server) deliver(queue, path, body string) {
	late := s.chance.delivery()
	for _, rule := range s.options.Faults.Decide(fault.Call{Service: fault.S3, Operation: NotificationOperation, Path: path, Body: []byte(body)}) {
		switch rule.Kind {
		case fault.Duplicate:
			late = append(late, late[0])
		case fault.Delay:
			for i := range late {
				late[i] += time.Duration(rule.Delay)
			}
		case fault.Drop, fault.Reject:
			return
		case fault.Throttle, fault.Partial, fault.Kill:
		}
	}
	for _, d := range late {
		push := func() {
			if err := s.options.Queues.Push(queue, body); err != nil {
				s.options.Log.Warn().Err(err).Str("object", path).Msg("bucket notification lost")
			}
		}
		if d == 0 {
			push()
			continue
		}
		time.AfterFunc(d, push)
	}
}
