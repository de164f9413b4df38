package cache

import (
	"fmt"
	"testing"

	"spate/job"
)

func TestSequencersAreComparedAsIfTheShorterOneHadZerosOnItsRight(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{
		{"0055AED6DCD90281E5", "0055AED6DCD90281E5", 0},
		{"0055AED6DCD90281E5", "0055AED6DCD90281E6", -1},
		{"0A", "0A00", 0},
		{"0A", "0A01", -1},
		{"1", "0F", 1},
		{"00", "", 0},
	} {
		if got := compareSequencers(row.a, row.b); got != row.want {
			t.Errorf("%s to %s is %d, want %d", row.a, row.b, got, row.want)
		}
		if got := compareSequencers(row.b, row.a); got != -row.want {
			t.Errorf("%s to %s is %d, want %d", row.b, row.a, got, -row.want)
		}
	}
}

func TestOnlyTheNewestChangesAreRememberedAndSoManyKeysAtMost(t *testing.T) {
	var h handledChanges
	change := func(n int, sequencer string) Change { return Change{Key: testKey(n), Sequencer: sequencer} }
	h.remember(change(0, "05"))
	h.remember(change(0, "03"))
	h.remember(change(1, ""))
	for _, row := range []struct {
		change Change
		want   bool
	}{
		{change(0, "04"), true},
		{change(0, "05"), true},
		{change(0, "0501"), false},
		{change(0, "06"), false},
		{change(0, ""), false},
		{change(1, ""), false},
		{change(1, "01"), false},
		{change(2, "01"), false},
	} {
		if got := h.covers(row.change); got != row.want {
			t.Errorf("%s %q is covered: %v, want %v", row.change.Key.Short(), row.change.Sequencer, got, row.want)
		}
	}
	keys := make([]job.Key, 3*rememberedKeys)
	for n := range keys {
		keys[n] = job.Key{byte(n), byte(n >> 8), byte(n >> 16), 1}
		h.remember(Change{Key: keys[n], Sequencer: fmt.Sprintf("%08X", n)})
		if len(h.young)+len(h.old) > 2*rememberedKeys {
			t.Fatalf("%d keys are remembered", len(h.young)+len(h.old))
		}
	}
	for n, k := range keys {
		if covered := h.covers(Change{Key: k, Sequencer: "00"}); !covered && n >= 2*rememberedKeys {
			t.Fatalf("of %d keys the one at %d is forgotten", len(keys), n)
		}
	}
	if h.covers(change(0, "05")) {
		t.Error("the first key of all is remembered still")
	}
}
