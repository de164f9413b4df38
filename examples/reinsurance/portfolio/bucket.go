package portfolio

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"

	"spate/examples/reinsurance/model"
)

// Bucket sizes: a changed deal costs one combining job a level, so that small buckets save work when little changes,
// and large ones save jobs when everything does.
const (
	dealsPerBucket = 32 // at most, on average, at the nominal size
	bucketFanIn    = 16 // combining jobs that one job of the next level adds
)

// buckets returns how many buckets each level has, for a nominal number of deals: a power of two at the first level,
// then a sixteenth of the level before, until the root can add the rest.
func buckets(nominal int) []int {
	first := 1
	for first*dealsPerBucket < nominal {
		first *= 2
	}
	levels := []int{first}
	for last := first; last > bucketFanIn; {
		last = (last + bucketFanIn - 1) / bucketFanIn
		levels = append(levels, last)
	}
	return levels
}

// bucketOf returns the first-level bucket of a deal. It depends on the id alone.
func bucketOf(id string, count int) int {
	sum := sha256.Sum256([]byte(id))
	return int(binary.BigEndian.Uint64(sum[:]) % uint64(count))
}

// combineJobs returns the combining jobs, lowest level first. Buckets that no deal falls into have no job.
func (p Portfolio) combineJobs() []Job {
	counts := buckets(p.Nominal)
	members := make([][]string, counts[0]) // ids of the jobs that each bucket adds
	for _, d := range p.Deals {
		b := bucketOf(d.ID, counts[0])
		members[b] = append(members[b], d.ID)
	}
	var jobs []Job
	for level := range counts {
		var next [][]string
		if level+1 < len(counts) {
			next = make([][]string, counts[level+1])
		}
		for b, ids := range members {
			if len(ids) == 0 {
				continue
			}
			job := combineJob(level+1, b, ids)
			jobs = append(jobs, job)
			if next != nil {
				next[b/bucketFanIn] = append(next[b/bucketFanIn], job.ID)
			}
		}
		members = next
	}
	return jobs
}

func combineJob(level, bucket int, ids []string) Job {
	needs := make(map[string]Need, len(ids))
	for _, id := range ids {
		needs[id] = need(id, model.LossesFile)
	}
	return Job{
		ID:     fmt.Sprintf("combine-%d-%03d", level, bucket),
		Task:   model.TaskCombine,
		Params: struct{}{},
		Needs:  needs,
		Labels: map[string]string{"level": strconv.Itoa(level)},
	}
}

// JobCount returns the number of jobs without making them.
func (p Portfolio) JobCount() int {
	ids := make([]string, len(p.Deals))
	for i, d := range p.Deals {
		ids[i] = d.ID
	}
	return jobCount(ids, p.Nominal, len(p.Perils))
}

func jobCount(ids []string, nominal, perils int) int {
	counts := buckets(nominal)
	used := make([]bool, counts[0])
	for _, id := range ids {
		used[bucketOf(id, counts[0])] = true
	}
	total := len(ids) + perils + 2 // the exchange rates and the portfolio
	for level := range counts {
		next := make([]bool, (len(used)+bucketFanIn-1)/bucketFanIn)
		for b, yes := range used {
			if yes {
				total++
				next[b/bucketFanIn] = true
			}
		}
		if level+1 < len(counts) {
			used = next
		}
	}
	return total
}

// ForJobs returns a number of deals whose portfolio, generated with nothing but that number, has at least n jobs, and
// not many more: the last deal added may have opened a bucket, or doubled the number of buckets.
func ForJobs(n int) int {
	var ids []string
	perils := len(model.Perils())
	for deals := 1; ; {
		for i := len(ids); i < deals; i++ {
			ids = append(ids, dealID(i+1))
		}
		missing := n - jobCount(ids, deals, perils)
		if missing <= 0 {
			return deals
		}
		const jobsPerDeal = 3 // itself and, at most as a rule, a bucket at each of two levels
		deals += max(missing/jobsPerDeal, 1)
	}
}
