package cache

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/internal/table"
	"spate/job"
)

// shelf is a bucket of objects of which only names, ETags and ages are kept.
type shelf struct {
	mu      sync.Mutex
	objects map[string]objects.Info
	onLook  func() // before each look at an object
	err     error
	checks  atomic.Int64 // of the bucket
}

func (s *shelf) Head(_ context.Context, key string) (objects.Info, error) {
	if s.onLook != nil {
		s.onLook()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return objects.Info{}, s.err
	}
	info, ok := s.objects[key]
	if !ok {
		return objects.Info{}, objects.ErrNotFound
	}
	return info, nil
}

func (s *shelf) Get(ctx context.Context, key string) ([]byte, objects.Info, error) {
	info, err := s.Head(ctx, key)
	if err != nil {
		return nil, objects.Info{}, err
	}
	output, ok := job.ParseManifestPath(key)
	if !ok {
		return nil, info, nil
	}
	data, err := (&job.Manifest{V: job.MessageVersion, Key: output, Attempt: "a", Run: "run"}).Encode()
	return data, info, err
}

func (s *shelf) Delete(_ context.Context, key string, c objects.Condition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, ok := s.objects[key]
	if !ok {
		return objects.ErrNotFound
	}
	if info.ETag != c.IfMatch {
		return objects.ErrPrecondition
	}
	delete(s.objects, key)
	return nil
}

func (s *shelf) Pages(_ context.Context, prefix, after string) iter.Seq2[[]objects.Info, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []objects.Info
	for key, info := range s.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			found = append(found, info)
		}
	}
	slices.SortFunc(found, func(a, b objects.Info) int { return strings.Compare(a.Key, b.Key) })
	return func(yield func([]objects.Info, error) bool) {
		for page := range slices.Chunk(found, 2) {
			if !yield(page, nil) {
				return
			}
		}
	}
}

func (s *shelf) Check(context.Context) error {
	s.checks.Add(1)
	return s.err
}

func (s *shelf) put(key, etag string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = objects.Info{Key: key, ETag: etag, LastModified: at}
}

// witnesses are a house's, on a shelf.
func (h *house) witnesses() (Witnesses, *shelf) {
	s := &shelf{objects: map[string]objects.Info{}}
	return Witnesses{View: h.View, Epochs: NewEpochs(h.records, zerolog.Nop()), Ledger: h.Ledger, S3: s, Retention: retention}, s
}

func TestEachWitnessIsHeardAndTheirDisagreementsAreTold(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	keys := testKeys(0, 7)
	inAll, wrong, expired, notInLedger, late, notInView, nowhere := keys[0], keys[1], keys[2], keys[3], keys[4], keys[5], keys[6]
	h.put(inAll, wrong, expired, late)
	h.settle()
	for key, made := range map[job.Key]time.Time{
		inAll: start, expired: start.Add(-retention - time.Second), notInLedger: start, late: start.Add(-time.Hour), notInView: start,
	} {
		s3.put(job.ManifestPath(key), "etag", made)
	}
	h.put(notInView) // and nobody follows

	told, err := w.Ask(t.Context(), start, keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Disagreement{"", WrongHit, WrongHit, NotInLedger, LateExpiry, NotInView, ""} {
		if got := told[i].Disagreement(retention); got != want {
			t.Errorf("key %d: %+v is %q, want %q", i, told[i], got, want)
		}
	}
	if told[0].View != job.Hit || told[0].Ledger != job.Hit || told[0].S3 != job.Hit || told[0].ETag != "etag" {
		t.Errorf("what all have is %+v", told[0])
	}
	if n := told[6]; nowhere != n.Key || n.View != job.Miss || n.Ledger != job.Miss || n.S3 != job.Miss || n.Item != nil {
		t.Errorf("what nobody has is %+v", n)
	}
	later, err := w.Ask(t.Context(), start.Add(retention+time.Second), inAll)
	if err != nil {
		t.Fatal(err)
	}
	if got := later[0]; got.Ledger != job.Miss || got.Item == nil || got.S3 != job.Miss || got.Made.IsZero() {
		t.Errorf("once expired it is %+v", got)
	}
}

func TestAWitnessThatIsAwayLeavesTheOthersHeard(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	key := testKey(1)
	h.put(key)
	h.settle()
	s3.put(job.ManifestPath(key), "etag", start)
	if _, err := w.Ask(t.Context(), start, key); err != nil {
		t.Fatal(err)
	}
	_ = h.redis.Close()
	told, err := w.Ask(t.Context(), start, key)
	if _, ok := errors.AsType[*ViewError](err); !ok || told[0].View != job.Unknown || told[0].Ledger != job.Hit || told[0].S3 != job.Hit {
		t.Errorf("without Redis it is %+v, error %v", told[0], err)
	}
	if d := told[0].Disagreement(retention); d != "" {
		t.Errorf("what is unknown disagrees: %s", d)
	}
	w.View = nil
	s3.err = errors.New("no answer")
	told, err = w.Ask(t.Context(), start, key)
	if err == nil || told[0].S3 != job.Unknown || told[0].Disagreement(retention) != "" {
		t.Errorf("without S3 it is %+v, error %v", told[0], err)
	}
}

func TestAForgottenOutputIsGoneFromManifestAndLedgerAndItIsKnownWhoDidIt(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	runs := table.New(h.clients.DynamoDB, runsTable)
	keys := testKeys(0, 4)
	there, anew, meanwhile := keys[0], keys[1], keys[3] // the ledger alone has the other
	h.put(keys...)
	s3.put(job.ManifestPath(meanwhile), "etag", start)
	s3.put(job.ManifestPath(there), "etag", start)
	s3.put(job.AttemptPrefix(there, "a1")+"value.txt", "file", start)
	s3.put(job.ManifestPath(anew), "etag", start)
	told, err := w.Ask(t.Context(), start, keys...)
	if err != nil {
		t.Fatal(err)
	}
	s3.put(job.ManifestPath(anew), "another", start)

	for i, want := range []error{nil, ErrMadeAnew, nil, ErrMadeAnew} {
		if keys[i] == meanwhile { // between the two deletions
			s3.onLook = func() { s3.put(job.ManifestPath(meanwhile), "another", time.Now()) }
		}
		if _, err := w.Forget(t.Context(), runs, told[i], "me", "wrong"); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("forgetting %d: error %v, want %v", i, err, want)
		}
	}
	s3.onLook = nil
	told, err = w.Ask(t.Context(), start, keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []job.Presence{job.Miss, job.Hit, job.Miss, job.Hit} {
		if told[i].S3 != want || told[i].Ledger != want {
			t.Errorf("afterwards %d is %+v, want %s", i, told[i], want)
		}
	}
	left, err := w.Leftovers(t.Context(), there)
	if err != nil || left.Files != 1 || !left.Newest.Equal(start) {
		t.Errorf("left are %+v, error %v", left, err)
	}
	who, err := ReadForgotten(t.Context(), runs, there)
	if err != nil || len(who) != 1 || who[0].By != "me" || who[0].Reason != "wrong" || !who[0].Made.Equal(start) || who[0].ExpiresAt == 0 {
		t.Errorf("forgotten by %+v, error %v", who, err)
	}
}

func TestAnOutputThatIsMadeWhileItIsForgottenStaysWhicheverLookFindsIt(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	runs := table.New(h.clients.DynamoDB, runsTable)
	for made := range 4 { // by the look that it precedes; 0: before all of them, while a person reads the question
		k := testKey(made)
		told, err := w.Ask(t.Context(), start, k)
		if err != nil {
			t.Fatal(err)
		}
		looks := 0
		s3.onLook = func() {
			if looks++; looks == max(1, made) { // and the updater is told of it
				s3.put(job.ManifestPath(k), "etag", start)
				h.put(k)
			}
		}
		if made == 0 {
			s3.onLook()
		}
		if _, err := w.Forget(t.Context(), runs, told[0], "me", ""); !errors.Is(err, ErrMadeAnew) {
			t.Errorf("made before look %d: error %v, want %v", made, err, ErrMadeAnew)
		}
		if looks < made || !h.ledgerHas(k) {
			t.Errorf("made before look %d of %d: in the ledger: %v, want true", made, looks, h.ledgerHas(k))
		}
		s3.onLook = nil
	}
}

func TestAMissingBucketIsNoProofForThoseWhoForget(t *testing.T) {
	h := newHouse(t)
	w, s3 := h.witnesses()
	k := testKey(1)
	h.put(k)
	s3.err = &objects.NoBucketError{Bucket: testBucket}
	if _, err := w.Forget(t.Context(), table.New(h.clients.DynamoDB, runsTable), Testimony{Key: k}, "me", ""); !errors.Is(err, s3.err) {
		t.Errorf("error is %v, want %v", err, s3.err)
	}
	if !h.ledgerHas(k) {
		t.Error("an output was forgotten")
	}
}
