package planner

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"spate/job"
)

// candidate is a job that a sample may take.
type candidate struct {
	line int    // of the manifest
	rank uint64 // the lower, the earlier it is taken
}

// strata are the candidates of a sample by task type.
type strata map[string][]candidate

// add makes a job a candidate. Its rank follows from seed and key alone: the same seed chooses the same jobs.
func (s strata) add(planned job.Planned, line, seed int) {
	text := binary.BigEndian.AppendUint64(nil, uint64(seed))
	sum := sha256.Sum256(append(text, planned.Key[:]...))
	s[planned.Task] = append(s[planned.Task], candidate{line, binary.BigEndian.Uint64(sum[:])})
}

// tasks are the names of the task types.
func (s strata) tasks() []string { return slices.Sorted(maps.Keys(s)) }

// ranked are a task type's candidates in the order in which they are taken.
func (s strata) ranked(task string) []candidate {
	slices.SortFunc(s[task], func(a, b candidate) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.line, b.line)) })
	return s[task]
}

// quotas says how many jobs of each task type a sample of n takes: at least one of each, though that be more than n, and
// of the rest as many as the type's share of all. n of 0 takes job.DefaultSample.
func (s strata) quotas(n int) map[string]int {
	if n == 0 {
		n = job.DefaultSample
	}
	all := 0
	for _, candidates := range s {
		all += len(candidates)
	}
	n = min(n, all)
	quotas, left := make(map[string]int, len(s)), n
	for task, candidates := range s {
		quotas[task] = max(1, n*len(candidates)/all)
		left -= quotas[task]
	}
	// What rounding left over, to the largest types first.
	tasks := s.tasks()
	slices.SortStableFunc(tasks, func(a, b string) int { return cmp.Compare(len(s[b]), len(s[a])) })
	for left > 0 {
		for _, task := range tasks {
			if left > 0 && quotas[task] < len(s[task]) {
				quotas[task]++
				left--
			}
		}
	}
	// What "at least one" took too much, from the largest first.
	for left < 0 {
		before := left
		for _, task := range tasks {
			if left < 0 && quotas[task] > 1 {
				quotas[task]--
				left++
			}
		}
		if left == before {
			break // one of each is all there is
		}
	}
	return quotas
}
