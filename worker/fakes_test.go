package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spate/internal/objects"
	"spate/internal/queue"
	"spate/job"
)

// faults makes an operation fail: before it has its effect, or after.
type faults struct {
	mu     sync.Mutex
	before func(op, what string) error
	after  func(op, what string) error
}

func (f *faults) set(before, after func(op, what string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faults) check(hook func(*faults) func(op, what string) error, op, what string) error {
	f.mu.Lock()
	h := hook(f)
	f.mu.Unlock()
	if h == nil {
		return nil
	}
	return h(op, what)
}

func (f *faults) early(op, what string) error {
	return f.check(func(f *faults) func(string, string) error { return f.before }, op, what)
}

func (f *faults) late(op, what string) error {
	return f.check(func(f *faults) func(string, string) error { return f.after }, op, what)
}

// fakeQueue is a queue with visibility. It checks that it is used as SQS wants it.
type fakeQueue struct {
	faults

	t        testing.TB
	onDelete func(body string) // checks what must be true when a message is deleted
	patience time.Duration     // of a long poll; 0: as long as asked for

	mu       sync.Mutex
	messages []*fakeMessage
	changed  chan struct{}
	receipts int
	polls    int
}

type fakeMessage struct {
	body      string
	receipt   string
	visibleAt time.Time
	receives  int
	deleted   bool
}

func newFakeQueue(t testing.TB) *fakeQueue {
	return &fakeQueue{t: t, changed: make(chan struct{})}
}

func (q *fakeQueue) touch() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *fakeQueue) put(bodies ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, body := range bodies {
		q.messages = append(q.messages, &fakeMessage{body: body, visibleAt: time.Now()})
	}
	q.touch()
}

func (q *fakeQueue) Receive(ctx context.Context, limit int, wait, visibility time.Duration) ([]queue.Message, error) {
	if limit < 1 || limit > 10 || wait < time.Second || wait > 20*time.Second || wait%time.Second != 0 || visibility < time.Second {
		q.t.Errorf("Receive(limit %d, wait %s, visibility %s) is not what SQS takes", limit, wait, visibility)
	}
	if err := q.early("receive", ""); err != nil {
		return nil, err
	}
	if q.patience > 0 {
		wait = min(wait, q.patience)
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		q.mu.Lock()
		q.polls++
		var got []queue.Message
		next := wait + time.Hour
		now := time.Now()
		for _, m := range q.messages {
			switch {
			case m.deleted:
			case m.visibleAt.After(now):
				next = min(next, m.visibleAt.Sub(now))
			case len(got) < limit:
				q.receipts++
				m.receipt = fmt.Sprintf("receipt-%d", q.receipts)
				m.visibleAt = now.Add(visibility)
				m.receives++
				got = append(got, queue.Message{Body: m.body, Receipt: m.receipt, ReceiveCount: m.receives})
			}
		}
		changed := q.changed
		q.mu.Unlock()
		if len(got) > 0 {
			return got, nil
		}
		visible := time.NewTimer(next)
		select {
		case <-ctx.Done():
			visible.Stop()
			return nil, ctx.Err()
		case <-timeout.C:
			visible.Stop()
			return nil, nil
		case <-changed:
		case <-visible.C:
		}
		visible.Stop()
	}
}

func (q *fakeQueue) find(receipt string) *fakeMessage {
	for _, m := range q.messages {
		if m.receipt == receipt && !m.deleted {
			return m
		}
	}
	return nil
}

func (q *fakeQueue) Delete(_ context.Context, receipts ...string) error {
	if err := q.early("delete", ""); err != nil {
		return err
	}
	for _, r := range receipts {
		q.mu.Lock()
		m := q.find(r)
		if m != nil {
			m.deleted = true
		}
		q.touch()
		q.mu.Unlock()
		if m != nil && q.onDelete != nil {
			q.onDelete(m.body)
		}
	}
	return q.late("delete", "")
}

func (q *fakeQueue) Extend(_ context.Context, receipt string, d time.Duration) error {
	if d < 0 || d > 12*time.Hour {
		q.t.Errorf("Extend(%s) is not what SQS takes", d)
	}
	if err := q.early("extend", d.String()); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.find(receipt)
	if m == nil {
		return errors.New("ReceiptHandleIsInvalid")
	}
	m.visibleAt = time.Now().Add(d)
	q.touch()
	return nil
}

func (q *fakeQueue) Send(_ context.Context, bodies ...string) error {
	if err := q.early("send", ""); err != nil {
		return err
	}
	q.put(bodies...)
	return q.late("send", "")
}

// left returns the messages that are not deleted.
func (q *fakeQueue) left() []fakeMessage {
	q.mu.Lock()
	defer q.mu.Unlock()
	var left []fakeMessage
	for _, m := range q.messages {
		if !m.deleted {
			left = append(left, *m)
		}
	}
	return left
}

// fakeEvents is the events queue.
type fakeEvents struct {
	faults

	t       testing.TB
	onEvent func(job.Event) // checks what must be true when an event is sent

	mu     sync.Mutex
	events []job.Event
}

func (e *fakeEvents) Send(_ context.Context, bodies ...string) error {
	if err := e.early("send", ""); err != nil {
		return err
	}
	for _, body := range bodies {
		event, err := job.ParseEvent([]byte(body))
		if err != nil {
			e.t.Errorf("event: %v", err)
			continue
		}
		if e.onEvent != nil {
			e.onEvent(event)
		}
		e.mu.Lock()
		e.events = append(e.events, event)
		e.mu.Unlock()
	}
	return e.late("send", "")
}

func (e *fakeEvents) all() []job.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.events)
}

// fakeStore is all buckets. It checks that no manifest is written before the files that it names, and that no file of an
// attempt is ever overwritten.
type fakeStore struct {
	faults

	t testing.TB

	mu      sync.Mutex
	objects map[string]fakeObject
	opens   map[string]int
	etags   int
}

type fakeObject struct {
	data     []byte
	etag     string
	modified time.Time
}

func newFakeStore(t testing.TB) *fakeStore {
	return &fakeStore{t: t, objects: map[string]fakeObject{}, opens: map[string]int{}}
}

func (s *fakeStore) write(key string, data []byte, modified time.Time) fakeObject {
	s.etags++
	o := fakeObject{slices.Clone(data), fmt.Sprintf("etag-%d", s.etags), modified}
	s.objects[key] = o
	return o
}

// put writes an object as somebody else would.
func (s *fakeStore) put(key string, data []byte, modified time.Time) fakeObject {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(key, data, modified)
}

func (s *fakeStore) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
}

func (s *fakeStore) read(key string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	return o.data, ok
}

func (s *fakeStore) opened(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens[key]
}

func (s *fakeStore) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.objects))
}

func (s *fakeStore) holds(key string, c objects.Condition) error {
	o, ok := s.objects[key]
	switch {
	case c.IfAbsent && ok, c.IfMatch != "" && ok && o.etag != c.IfMatch:
		return objects.ErrPrecondition
	case c.IfMatch != "" && !ok:
		return objects.ErrNotFound
	}
	return nil
}

func (s *fakeStore) Open(_ context.Context, key string, c objects.Condition) (io.ReadCloser, objects.Info, error) {
	if err := s.early("get", key); err != nil {
		return nil, objects.Info{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens[key]++
	o, ok := s.objects[key]
	if !ok {
		return nil, objects.Info{}, objects.ErrNotFound
	}
	if err := s.holds(key, c); err != nil {
		return nil, objects.Info{}, err
	}
	info := objects.Info{Key: key, ETag: o.etag, Size: int64(len(o.data)), LastModified: o.modified}
	return io.NopCloser(bytes.NewReader(o.data)), info, nil
}

func (s *fakeStore) Get(ctx context.Context, key string) ([]byte, objects.Info, error) {
	body, info, err := s.Open(ctx, key, objects.Condition{})
	if err != nil {
		return nil, objects.Info{}, err
	}
	data, err := io.ReadAll(body)
	return data, info, err
}

func (s *fakeStore) Put(_ context.Context, key string, data []byte, c objects.Condition) (string, error) {
	if err := s.early("put", key); err != nil {
		return "", err
	}
	s.mu.Lock()
	err := s.holds(key, c)
	var o fakeObject
	if err == nil {
		o = s.write(key, data, time.Now())
		s.checkManifest(key, data)
	}
	s.mu.Unlock()
	if err != nil {
		return "", err
	}
	return o.etag, s.late("put", key)
}

func (s *fakeStore) checkManifest(object string, data []byte) {
	key, ok := job.ParseManifestPath(object)
	if !ok {
		return
	}
	m, err := job.ParseManifest(data, key)
	if err != nil {
		s.t.Errorf("manifest: %v", err)
		return
	}
	for _, f := range m.Files {
		if have := s.objects[m.Object(f)].data; int64(len(have)) != f.Size || digest(have) != f.SHA256 {
			s.t.Errorf("manifest of %s names file %q, which is not there as it says", key.Short(), f.Path)
		}
	}
}

func (s *fakeStore) PutStream(_ context.Context, key string, body io.ReadSeeker, size int64) (string, error) {
	if err := s.early("put", key); err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	if int64(len(data)) != size {
		s.t.Errorf("put %s: %d bytes announced, %d sent", key, size, len(data))
	}
	s.mu.Lock()
	if old, ok := s.objects[key]; ok && !bytes.Equal(old.data, data) {
		s.t.Errorf("put %s: another file is overwritten", key)
	}
	o := s.write(key, data, time.Now())
	s.mu.Unlock()
	return o.etag, s.late("put", key)
}

func (s *fakeStore) Delete(_ context.Context, key string, c objects.Condition) error {
	if err := s.early("remove", key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.holds(key, c); err != nil {
		return err
	}
	delete(s.objects, key)
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// times fails the first n operations that match.
func times(n int, op, what string) func(string, string) error {
	var mu sync.Mutex
	return func(gotOp, gotWhat string) error {
		mu.Lock()
		defer mu.Unlock()
		if n == 0 || gotOp != op || !strings.Contains(gotWhat, what) {
			return nil
		}
		n--
		return errors.New("connection reset")
	}
}

// afterTheFirst fails n of the operations, but not the first.
func afterTheFirst(op string, n int) func(string, string) error {
	fail := times(n, op, "")
	var mu sync.Mutex
	passed := false
	return func(gotOp, gotWhat string) error {
		mu.Lock()
		defer mu.Unlock()
		if gotOp == op && !passed {
			passed = true
			return nil
		}
		return fail(gotOp, gotWhat)
	}
}

// always fails all operations that match.
func always(op, what string) func(string, string) error { return times(-1, op, what) }
