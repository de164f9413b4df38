package job

import (
	"cmp"
	"slices"
	"strings"
)

// Nearest is the known word that a misspelt one most likely stands for, or "".
func Nearest(word string, known []string) string {
	type scored struct {
		word     string
		distance int
	}
	var best []scored
	for _, k := range known {
		if len(word) > 2*len(k) {
			continue
		}
		if dist := editDistance(strings.ToLower(word), strings.ToLower(k)); dist <= max(1, len(k)/3) {
			best = append(best, scored{k, dist})
		}
	}
	if len(best) == 0 {
		return ""
	}
	return slices.MinFunc(best, func(a, b scored) int { return cmp.Compare(a.distance, b.distance) }).word
}

// hintsMost is how many names are compared to give hints, which takes a second or two.
const hintsMost = 1_000_000

// hinter gives hints to misspelt names until it has compared hintsMost: many wrong names among many known ones would take
// hours.
type hinter struct {
	known []string
	left  int // names to compare
}

func newHinter(known []string) *hinter { return &hinter{known, hintsMost} }

// to is the known name nearest to a misspelt one, or "".
func (h *hinter) to(word string) string {
	if h.left -= len(h.known); h.left < 0 {
		return ""
	}
	return Nearest(word, h.known)
}

// editDistance counts the bytes to insert, delete or replace, and the neighbours to exchange, to turn a into b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			replace := last[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
