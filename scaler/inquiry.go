package scaler

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"spate/internal/awsclient"
)

const (
	maxDescribe = 100 // tasks a call ("DescribeTasks" in the Amazon ECS API reference)
	lookTimeout = 45 * time.Second
	lookTries   = 3 // of one call within an inquiry
)

// inquiry asks ECS which tasks there are, call by call: all pages of a listing, then descriptions where they are wanted.
// It fails as a whole: half a listing is none.
type inquiry struct {
	list     ecs.ListTasksInput
	wants    func(listed []string) []string // tasks to describe; nil: none
	finished func(now time.Time, seen look, err error) error

	seen      look
	pages     bool // all have been read
	describes [][]string
	busy      bool // a call is under way
	tries     int  // of the next call
}

// ask begins an inquiry.
func (e *Engine) ask(now time.Time, q *inquiry) {
	q.seen.at = now
	e.inquiries = append(e.inquiries, q)
	e.inquire(now)
}

// asking reports whether some inquiry waits for its next call.
func (e *Engine) asking() bool {
	return slices.ContainsFunc(e.inquiries, func(q *inquiry) bool { return !q.busy })
}

// inquire makes the calls that inquiries wait for, as far as the rate of such calls goes, the oldest inquiry first.
func (e *Engine) inquire(now time.Time) {
	for _, q := range e.inquiries {
		if q.busy {
			continue
		}
		if e.looks.Take(now, 1) == 0 {
			return
		}
		q.busy = true
		if !q.pages {
			in := q.list
			e.hands.ListTasks(&in, func(now time.Time, out *ecs.ListTasksOutput, err error) error {
				return e.heard(now, q, err, func() { q.page(out) })
			})
			continue
		}
		in := ecs.DescribeTasksInput{Cluster: q.list.Cluster, Tasks: q.describes[0]}
		e.hands.DescribeTasks(&in, func(now time.Time, out *ecs.DescribeTasksOutput, err error) error {
			return e.heard(now, q, err, func() { q.descriptions(out) })
		})
	}
}

// heard goes on with an inquiry after one of its calls. One that was throttled, or at which the service failed, is made
// again.
func (e *Engine) heard(now time.Time, q *inquiry, err error, take func()) error {
	q.busy = false
	q.tries++
	class := awsclient.Classify(err)
	if class == awsclient.ClassThrottled {
		e.looks.Empty(now)
	}
	late := now.Sub(q.seen.at) >= lookTimeout
	switch {
	case err == nil:
		take()
		q.tries = 0
	case !late && q.tries < lookTries && (class == awsclient.ClassThrottled || class.Ambiguous()):
		err = nil // again
	}
	over := err == nil && q.pages && len(q.describes) == 0
	if err == nil && late && !over {
		err = fmt.Errorf("not finished within %s", lookTimeout)
	}
	if err == nil && !over {
		e.inquire(now)
		return nil
	}
	e.inquiries = slices.DeleteFunc(e.inquiries, func(other *inquiry) bool { return other == q })
	e.inquire(now)
	return q.finished(now, q.seen, err)
}

// page takes over one page of the listing.
func (q *inquiry) page(out *ecs.ListTasksOutput) {
	q.seen.listed = append(q.seen.listed, out.TaskArns...)
	q.list.NextToken = out.NextToken
	if aws.ToString(out.NextToken) != "" {
		return
	}
	q.pages = true
	if q.wants != nil {
		q.describes = slices.Collect(slices.Chunk(q.wants(q.seen.listed), maxDescribe))
	}
}

// descriptions takes over those of the first tasks that are wanted.
func (q *inquiry) descriptions(out *ecs.DescribeTasksOutput) {
	q.describes = q.describes[1:]
	q.seen.described = append(q.seen.described, out.Tasks...)
	for _, failure := range out.Failures {
		if aws.ToString(failure.Reason) == "MISSING" {
			q.seen.missing = append(q.seen.missing, aws.ToString(failure.Arn))
		}
	}
}
