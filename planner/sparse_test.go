package planner

import (
	"testing"

	"pgregory.net/rapid"
)

func TestASparseHoldsWhatAMapWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s sparse[int64]
		oracle := map[int32]int64{}
		node := rapid.Int32Range(0, 5*pieceNodes)
		for range rapid.IntRange(0, 50).Draw(t, "sets") {
			n, value := node.Draw(t, "node"), rapid.Int64Range(0, 3).Draw(t, "value")
			s.set(n, value)
			oracle[n] = value
		}
		for n := range int32(5*pieceNodes + 2) {
			if got := s.get(n); got != oracle[n] {
				t.Fatalf("node %d has %d, want %d", n, got, oracle[n])
			}
		}
	})
}

func TestASparseTakesNoMemoryForWhatWasNeverSet(t *testing.T) {
	var s sparse[bool]
	s.set(2*pieceNodes, false)
	if len(s.pieces) != 0 {
		t.Errorf("%d pieces before anything was set", len(s.pieces))
	}
	s.set(2*pieceNodes, true)
	if len(s.pieces) != 3 || s.pieces[0] != nil || s.pieces[1] != nil {
		t.Errorf("pieces %v, want the third only", s.pieces)
	}
}
