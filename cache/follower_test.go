package cache

import (
	"testing"

	"spate/job"
)

func TestAnOutputInTheLedgerBecomesAHitAndARemovedOneAMiss(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 50)...)
	h.settle() // the first epoch is built by a scan
	all(t, h.view(testKeys(0, 50)...), job.Hit)
	all(t, h.view(testKeys(50, 100)...), job.Miss)

	h.put(testKeys(50, 100)...) // through the stream
	if err := h.Forget(t.Context(), testKey(0)); err != nil {
		t.Fatal(err)
	}
	h.settle()
	all(t, h.view(testKeys(1, 100)...), job.Hit)
	all(t, h.view(testKey(0)), job.Miss)
}
