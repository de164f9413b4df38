package job

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestInternedNumbersEachStringOnceAsAMapWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		added := rapid.SliceOf(rapid.StringMatching(`[ab]{0,4}`)).Draw(t, "added")
		interned, oracle := NewInterned(), map[string]int32{}
		for _, s := range added {
			want, seen := oracle[s]
			if n, ok := interned.Find(s); ok != seen || n != want {
				t.Fatalf("%q before it is added: found %d, %t; want %d, %t", s, n, ok, want, seen)
			}
			if !seen {
				want = int32(len(oracle))
				oracle[s] = want
			}
			if n := interned.Add(s); n != want {
				t.Fatalf("%q has number %d, want %d", s, n, want)
			}
		}
		if interned.Len() != len(oracle) {
			t.Errorf("%d strings, want %d", interned.Len(), len(oracle))
		}
		for s, n := range oracle {
			if got := interned.At(n); got != s {
				t.Errorf("number %d is %q, want %q", n, got, s)
			}
		}
	})
}

func TestAnIndexFindsWhatSharesAHash(t *testing.T) {
	const many = 1000
	for name, hash := range map[string]func(int32) uint64{
		"one hash for all": func(int32) uint64 { return 7 },
		"the last slot":    func(int32) uint64 { return 1<<64 - 1 },
		"a few hashes":     func(n int32) uint64 { return uint64(n % 10) },
		"all differ":       func(n int32) uint64 { return uint64(n) * 0x9e3779b97f4a7c15 },
	} {
		t.Run(name, func(t *testing.T) {
			for _, room := range []int{0, many} {
				x := NewIndex(room)
				for n := range int32(many) {
					x.Add(hash(n), n, hash)
				}
				for n := range int32(many) {
					if got, ok := x.Find(hash(n), func(have int32) bool { return have == n }); !ok || got != n {
						t.Fatalf("room for %d: found %d, %t; want %d", room, got, ok, n)
					}
				}
				if n, ok := x.Find(hash(0), func(int32) bool { return false }); ok {
					t.Errorf("room for %d: found %d, which was not asked for", room, n)
				}
			}
		})
	}
}

func TestAnEmptyIndexFindsNothing(t *testing.T) {
	for name, x := range map[string]*Index{"zero": {}, "made": NewIndex(0)} {
		if n, ok := x.Find(1, func(int32) bool { return true }); ok {
			t.Errorf("%s: found %d", name, n)
		}
	}
}

func BenchmarkInterned(b *testing.B) {
	ids := make([]string, 1<<16)
	for i := range ids {
		ids[i] = fmt.Sprintf("deal-%07d", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		t := NewInterned()
		for _, id := range ids {
			t.Add(id)
		}
	}
	b.ReportMetric(float64(len(ids))*float64(b.N)/b.Elapsed().Seconds(), "ids/s")
}
