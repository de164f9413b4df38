package scaler

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"spate/internal/awsclient"
)

const (
	maxDescribe = 100 // tasks a call ("DescribeTasks" in the Amazon ECS API reference)
	lookTimeout = 45 * time.Second
	// lookTries is how often one call is made at which the service fails. One that is throttled is made again for lookTimeout:
	// somebody else uses the account's rate, and the rest of a listing would be lost.
	lookTries = 3
	// The pause before a call is made again doubles from lookPause to longestLookPause.
	lookPause        = 200 * time.Millisecond
	longestLookPause = 2 * time.Second
)

// inquiry asks ECS which tasks there are, or what has become of some, call by call. A listing fails as a whole, as half of
// one is none; of descriptions each call is taken over at once.
type inquiry struct {
	list   *ecs.ListTasksInput
	listed func(now, at time.Time, arns []string, err error) error // all pages; at: when the first was asked for

	cluster   string
	describes [][]string // tasks of each call that is left, where nothing is to be listed
	described func(now, at time.Time, tasks []types.Task, missing []string)
	over      func(now time.Time, err error) error // all are described

	at    time.Time // of the first call of a listing, of the last one of descriptions
	arns  []string
	busy  bool      // a call is under way
	tries int       // of the next call
	tried time.Time // when its first try failed
	due   time.Time // when it may be made
}

// ask begins an inquiry.
func (e *Engine) ask(now time.Time, q *inquiry) {
	e.inquiries = append(e.inquiries, q)
	e.inquire(now)
}

// nextInquiry is when the next call may be made that some inquiry waits for; ok is false if none does.
func (e *Engine) nextInquiry(now time.Time) (at time.Time, ok bool) {
	for _, q := range e.inquiries {
		if !q.busy && (!ok || q.due.Before(at)) {
			at, ok = q.due, true
		}
	}
	if granted := now.Add(e.looks.Until(now, 1)); at.Before(granted) {
		at = granted
	}
	return at, ok
}

// inquire makes the calls that inquiries wait for, as far as the rate of such calls goes, the oldest inquiry first.
func (e *Engine) inquire(now time.Time) {
	for _, q := range e.inquiries {
		if q.busy || now.Before(q.due) {
			continue
		}
		if e.looks.Take(now, 1) == 0 {
			return
		}
		q.busy = true
		if q.list != nil {
			if q.at.IsZero() {
				q.at = now
			}
			in := *q.list
			e.hands.ListTasks(&in, func(now time.Time, out *ecs.ListTasksOutput, err error) error { return e.paged(now, q, out, err) })
			continue
		}
		q.at = now
		in := ecs.DescribeTasksInput{Cluster: &q.cluster, Tasks: q.describes[0]}
		e.hands.DescribeTasks(&in, func(now time.Time, out *ecs.DescribeTasksOutput, err error) error {
			return e.heardOf(now, q, out, err)
		})
	}
}

// paged takes over a page of a listing.
func (e *Engine) paged(now time.Time, q *inquiry, out *ecs.ListTasksOutput, err error) error {
	if e.again(now, q, err) {
		return nil
	}
	more := false
	if err == nil {
		q.arns = append(q.arns, out.TaskArns...)
		q.list.NextToken = out.NextToken
		more = aws.ToString(out.NextToken) != ""
	}
	if more && now.Sub(q.at) >= lookTimeout {
		err = fmt.Errorf("not finished within %s", lookTimeout)
	}
	if more && err == nil {
		e.inquire(now)
		return nil
	}
	e.end(now, q)
	return q.listed(now, q.at, q.arns, err)
}

// heardOf takes over what one call tells of tasks.
func (e *Engine) heardOf(now time.Time, q *inquiry, out *ecs.DescribeTasksOutput, err error) error {
	if e.again(now, q, err) {
		return nil
	}
	if err == nil {
		var missing []string
		for _, failure := range out.Failures {
			if aws.ToString(failure.Reason) == "MISSING" {
				missing = append(missing, aws.ToString(failure.Arn))
			}
		}
		q.described(now, q.at, out.Tasks, missing)
		if q.describes = q.describes[1:]; len(q.describes) > 0 {
			e.inquire(now)
			return nil
		}
	}
	e.end(now, q)
	return q.over(now, err)
}

// again makes a call again that was throttled, or at which the service failed, and reports whether it does.
func (e *Engine) again(now time.Time, q *inquiry, err error) bool {
	q.busy = false
	q.tries++
	class := awsclient.Classify(err)
	e.metrics.countError(class, awsclient.Code(err))
	if class == awsclient.ClassThrottled {
		e.looks.Empty(now)
	}
	if q.tried.IsZero() {
		q.tried = now
	}
	if !q.worthAgain(now, class) {
		q.tries, q.tried, q.due = 0, time.Time{}, time.Time{}
		return false
	}
	q.due = now.Add(min(longestLookPause, lookPause<<min(10, q.tries-1)))
	e.inquire(now)
	return true
}

func (q *inquiry) worthAgain(now time.Time, class awsclient.Class) bool {
	if class == awsclient.ClassThrottled {
		return now.Sub(q.tried) < lookTimeout
	}
	return class.Ambiguous() && q.tries < lookTries
}

func (e *Engine) end(now time.Time, q *inquiry) {
	e.inquiries = slices.DeleteFunc(e.inquiries, func(other *inquiry) bool { return other == q })
	e.inquire(now)
}
