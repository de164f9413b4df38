package cache

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"spate/job"
)

// writers are clients of one Redis, the first of which can be made to fail.
func writers(t *testing.T) (first, second *View, faulty *redisFaults) {
	t.Helper()
	client := openRedis(t)
	another := redis.NewClient(&redis.Options{Addr: client.Options().Addr, MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { _ = another.Close() })
	faulty = &redisFaults{}
	client.AddHook(faulty)
	return NewView(client, "spate"), NewView(another, "spate"), faulty
}

func TestAnOlderWriterIsFencedHoweverManyOfItsWritesNeverArrived(t *testing.T) {
	first, second, faulty := writers(t)
	k := testKey(1)
	older, err := first.Create(t.Context(), 1, 12)
	if err != nil {
		t.Fatal(err)
	}
	if err := older.Apply(t.Context(), []job.Key{k}, nil); err != nil {
		t.Fatal(err)
	}
	faulty.set(func(r *redisFaults) { r.before = func(int) error { return errTimeout } })
	for range 2 {
		if err := older.Apply(t.Context(), nil, nil); !errors.Is(err, errTimeout) {
			t.Fatalf("error is %v, want %v", err, errTimeout)
		}
	}
	faulty.set(func(r *redisFaults) { r.before = nil })

	newer, err := second.Resume(t.Context(), older.Mark())
	if err != nil {
		t.Fatal(err)
	}
	for _, remove := range [][]job.Key{nil, {k}} { // as many writes as the older one lost
		if err := newer.Apply(t.Context(), nil, remove); err != nil {
			t.Fatal(err)
		}
	}
	if err := older.Apply(t.Context(), []job.Key{k}, nil); !errors.Is(err, ErrSuperseded) {
		t.Errorf("error of the older writer is %v, want %v", err, ErrSuperseded)
	}
	if err := newer.Apply(t.Context(), nil, nil); err != nil {
		t.Errorf("the newer writer: %v", err)
	}
	all(t, second.Lookup(t.Context(), newer.Mark(), []job.Key{k}).Presence, job.Miss)
}

func TestOfTwoWritersThatResumeAtTheSameSequenceOnlyOneWrites(t *testing.T) {
	first, second, faulty := writers(t)
	created, err := second.Create(t.Context(), 1, 12)
	if err != nil {
		t.Fatal(err)
	}
	one, err := first.Resume(t.Context(), created.Mark())
	if err != nil {
		t.Fatal(err)
	}
	other, err := second.Resume(t.Context(), created.Mark())
	if err != nil {
		t.Fatal(err)
	}
	faulty.set(func(r *redisFaults) {
		r.before = func(n int) error { // between the look at the sequence and the transaction
			if n == 1 {
				return other.Apply(t.Context(), nil, nil)
			}
			return nil
		}
	})
	if err := one.Apply(t.Context(), []job.Key{testKey(1)}, nil); !errors.Is(err, ErrSuperseded) {
		t.Errorf("error is %v, want %v: it took the other's write for its own", err, ErrSuperseded)
	}
	if err := other.Apply(t.Context(), nil, nil); err != nil {
		t.Error(err)
	}
}
