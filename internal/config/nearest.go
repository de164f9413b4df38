package config

import "strings"

// nearest returns the valid word that takes the fewest edits to reach, empty when none is close enough to be meant.
func nearest(word string, valid []string) string {
	const longest = 100 // nobody means a key of such length
	if len(word) > longest {
		return ""
	}
	best, fewest := "", max(2, len(word)/3)+1
	for _, v := range valid {
		if d := edits(strings.ToLower(word), strings.ToLower(v)); d < fewest && d < len(v) {
			best, fewest = v, d
		}
	}
	return best
}

// edits is how many bytes must be inserted, deleted, replaced or swapped with their neighbour to make b of a.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
