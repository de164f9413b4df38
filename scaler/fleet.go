package scaler

import (
	"cmp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// fleet is what is known of one pool's tasks. RunTask's answers add to it at once; listings, descriptions and events
// confirm, correct and remove.
type fleet struct {
	members map[string]*member // by task ARN
	// gone remembers for a while what has been removed, as answers and listings may come late.
	gone  map[string]time.Time
	at    time.Time // when the last complete listing began
	known bool      // whether there was one

	startUps startUps
}

// member is one task that has not stopped, as far as is known.
type member struct {
	provider   string
	definition string // of the task, as RunTask was asked for it or as ECS describes it
	status     memberStatus
	sign       time.Time // of life, the last one
	seen       bool      // by ECS's own account, not by RunTask's answer alone
	created    time.Time // when it was launched; by ECS's clock where this controller has not launched it
	started    time.Time // when it began to run; zero: it has not, as far as is known
	stop       stopping
	version    int64     // of the task, as ECS last described it: what has a lower one is older
	due        time.Time // since when a description of it has been waited for; zero: none is
}

type memberStatus uint8

const (
	memberPending  memberStatus = iota
	memberRunning               // as last described
	memberStopping              // does no work any more; kept until its exit code is known
	memberListed                // and not described yet: it runs, or is about to
)

const (
	// vanishAfter is how long a task may be missing from every answer before it counts as vanished: RunTask is
	// eventually consistent.
	vanishAfter = 2 * time.Minute
	// goneFor is how long a removed task is remembered: ECS describes a stopped one for about an hour.
	goneFor = time.Hour
)

func newFleet() *fleet {
	return &fleet{members: map[string]*member{}, gone: map[string]time.Time{}}
}

// launched adds tasks of a task definition by the names that RunTask answered.
func (f *fleet) launched(now time.Time, provider, definition string, arns []string) {
	for _, arn := range arns {
		if _, over := f.gone[arn]; over || f.members[arn] != nil {
			continue
		}
		f.members[arn] = &member{provider: provider, definition: definition, sign: now, created: now, due: now}
	}
}

// unseen reports whether a task is known by RunTask's answer alone.
func (f *fleet) unseen(arn string) bool {
	m := f.members[arn]
	return m != nil && !m.seen
}

// workers sums the fleet up. Tasks on their way out are no workers any more. What is listed and not described yet counts as
// running, under no provider's and no definition's name: so too much is taken to be done, not too little, and too few are launched.
func (f *fleet) workers() Workers {
	w := Workers{ByProvider: map[string]int{}, StoppingBy: map[string]int{}, ByDefinition: map[string]int{}, At: f.at, Known: f.known}
	for _, m := range f.members {
		if !m.due.IsZero() && (w.Awaited.IsZero() || m.due.Before(w.Awaited)) {
			w.Awaited = m.due
		}
		switch m.status {
		case memberListed:
			w.Listed++
			w.Running++
		case memberRunning:
			w.Running++
		case memberPending:
			w.Pending++
		case memberStopping:
			w.Stopping++
			w.StoppingBy[m.provider]++
			continue
		}
		w.ByProvider[m.provider]++
		w.ByDefinition[m.definition]++
	}
	if !w.Awaited.IsZero() {
		w.At = earlier(w.At, w.Awaited)
	}
	return w
}

// wants names the tasks to describe, those first that wait longest: all but those that run and are listed.
func (f *fleet) wants() []string {
	var wants []string
	for arn, m := range f.members {
		if !m.due.IsZero() {
			wants = append(wants, arn)
		}
	}
	slices.SortFunc(wants, func(a, b string) int {
		return cmp.Or(f.members[a].due.Compare(f.members[b].due), cmp.Compare(a, b))
	})
	return wants
}

// watched names the tasks whose next change tells most, those first that were launched first, as many as one call describes:
// all that are described after a listing and, until a worker has proven that those of its kind work, all that have not run for long.
func (f *fleet) watched(now time.Time, proven bool) []string {
	var watched []string
	for arn, m := range f.members {
		if !m.due.IsZero() || m.status == memberStopping || !proven && !m.lived(now) {
			watched = append(watched, arn)
		}
	}
	slices.SortFunc(watched, func(a, b string) int {
		return cmp.Or(f.members[a].created.Compare(f.members[b].created), cmp.Compare(a, b))
	})
	return watched[:min(len(watched), maxDescribe)]
}

// lived reports whether the task has run long enough to show that workers of its kind can.
func (m *member) lived(now time.Time) bool {
	return m.status == memberRunning && !m.started.IsZero() && now.Sub(m.started) >= livedAfter
}

// listing takes over all tasks that are to run, as of a time. Those that it does not name are to be described.
func (f *fleet) listing(now, at time.Time, arns []string) {
	for _, arn := range arns {
		if _, over := f.gone[arn]; over {
			continue
		}
		m := f.members[arn]
		if m == nil {
			m = &member{status: memberListed, due: at}
			f.members[arn] = m
		}
		m.seen, m.sign = true, later(m.sign, at)
	}
	for _, m := range f.members {
		if m.due.IsZero() && m.sign.Before(at) {
			m.due = at
		}
	}
	for arn, since := range f.gone {
		if now.Sub(since) > goneFor {
			delete(f.gone, arn)
		}
	}
	f.at, f.known = at, true
}

// descriptions takes over what ECS answered at a time about tasks, and which ones it did not know. It returns who has left.
func (f *fleet) descriptions(now, at time.Time, tasks []types.Task, missing []string) []departure {
	var left []departure
	for _, task := range tasks {
		if d, gone := f.describe(at, task); gone {
			left = append(left, d)
		}
	}
	for _, arn := range missing {
		m := f.members[arn]
		if m == nil {
			continue
		}
		m.due = at
		if at.Sub(m.sign) >= vanishAfter {
			left = append(left, departure{
				arn: arn, definition: m.definition, created: m.created, fate: fateVanished, reason: "ECS does not know the task",
			})
		}
	}
	f.remove(now, left)
	return left
}

func (f *fleet) remove(now time.Time, left []departure) {
	for _, d := range left {
		delete(f.members, d.arn)
		f.gone[d.arn] = now
	}
}

// describe takes over one description. It reports a known task that has stopped.
func (f *fleet) describe(at time.Time, task types.Task) (departure, bool) {
	arn := aws.ToString(task.TaskArn)
	if _, over := f.gone[arn]; over {
		return departure{}, false
	}
	m := f.members[arn]
	stopped := aws.ToString(task.LastStatus) == "STOPPED"
	if m == nil {
		if stopped {
			return departure{}, false
		}
		m = &member{}
		f.members[arn] = m
	}
	m.seen, m.sign, m.due = true, later(m.sign, at), at
	if task.Version < m.version { // it took longer than what is newer
		if m.status == memberRunning {
			m.due = time.Time{}
		}
		return departure{}, false
	}
	m.provider, m.version = cmp.Or(m.provider, providerOf(task)), task.Version
	if definition := aws.ToString(task.TaskDefinitionArn); definition != "" {
		m.definition = definition
	}
	if m.created.IsZero() {
		m.created = at
		if task.CreatedAt != nil {
			m.created = *task.CreatedAt
		}
	}
	if running := aws.ToString(task.LastStatus) == "RUNNING"; running && m.started.IsZero() {
		f.startUps.saw(task)
		m.started = at
		if task.StartedAt != nil {
			m.started = *task.StartedAt
		}
	}
	switch {
	case stopped:
		d := departed(task)
		d.definition, d.created = m.definition, m.created
		if d.started.IsZero() {
			d.started = m.started
		}
		if m.stop.asked() || d.reason == stopReason { // the latter perhaps by a former leader
			d.fate = fateStopped
		}
		return d, true
	case aws.ToString(task.DesiredStatus) == "STOPPED":
		m.status = memberStopping
	case aws.ToString(task.LastStatus) == "RUNNING":
		m.status, m.due = memberRunning, time.Time{}
	default:
		m.status = memberPending
	}
	return departure{}, false
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func providerOf(task types.Task) string {
	if task.CapacityProviderName != nil {
		return *task.CapacityProviderName
	}
	return string(task.LaunchType)
}
