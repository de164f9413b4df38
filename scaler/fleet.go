package scaler

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// fleet is what is known of one pool's tasks. RunTask's answers add to it at once; looks confirm, correct and remove.
type fleet struct {
	members map[string]*member // by task ARN
	// gone remembers for a while what has been removed, as answers and listings may come late.
	gone  map[string]time.Time
	at    time.Time // when the last complete look began
	known bool      // whether there was one
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
}

type memberStatus uint8

const (
	memberPending  memberStatus = iota
	memberRunning               // as last described
	memberStopping              // does no work any more; kept until its exit code is known
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
		f.members[arn] = &member{provider: provider, definition: definition, sign: now, created: now}
	}
}

// unseen reports whether a task is known by RunTask's answer alone.
func (f *fleet) unseen(arn string) bool {
	m := f.members[arn]
	return m != nil && !m.seen
}

// workers sums the fleet up. Tasks on their way out are no workers any more.
func (f *fleet) workers() Workers {
	w := Workers{ByProvider: map[string]int{}, ByDefinition: map[string]int{}, At: f.at, Known: f.known}
	for _, m := range f.members {
		switch m.status {
		case memberRunning:
			w.Running++
		case memberPending:
			w.Pending++
		case memberStopping:
			w.Stopping++
			continue
		}
		w.ByProvider[m.provider]++
		w.ByDefinition[m.definition]++
	}
	return w
}

// look is one complete observation of a pool.
type look struct {
	at        time.Time    // when it began
	listed    []string     // ARNs of tasks that are to run
	described []types.Task // those of the listed and the known ones that needed it
	missing   []string     // ARNs that ECS had no description of
}

// wants names the tasks to describe after a listing: those listed that are not known to run, and those known that are
// not listed or do not run yet.
func (f *fleet) wants(listed []string) []string {
	var wants []string
	inList := make(map[string]bool, len(listed))
	for _, arn := range listed {
		inList[arn] = true
		if m := f.members[arn]; m == nil || m.status != memberRunning {
			wants = append(wants, arn)
		}
	}
	unlisted := len(wants)
	for arn := range f.members {
		if !inList[arn] {
			wants = append(wants, arn)
		}
	}
	slices.Sort(wants[unlisted:]) // so that an engine asks the same whenever it knows the same
	return wants
}

// lived reports whether the task has run long enough to show that workers of its kind can.
func (m *member) lived(now time.Time) bool {
	return m.status == memberRunning && !m.started.IsZero() && now.Sub(m.started) >= livedAfter
}

// looked takes over what a look says and returns who has left since the one before.
func (f *fleet) looked(now time.Time, l look) []departure {
	var left []departure
	for _, arn := range l.listed {
		f.sign(arn, l.at)
	}
	for _, task := range l.described {
		if d, gone := f.describe(l.at, task); gone {
			left = append(left, d)
		}
	}
	for _, arn := range l.missing {
		if m := f.members[arn]; m != nil && l.at.Sub(m.sign) >= vanishAfter {
			left = append(left, departure{
				arn: arn, definition: m.definition, created: m.created, fate: fateVanished, reason: "ECS does not know the task",
			})
		}
	}
	for _, d := range left {
		delete(f.members, d.arn)
		f.gone[d.arn] = now
	}
	for arn, at := range f.gone {
		if now.Sub(at) > goneFor {
			delete(f.gone, arn)
		}
	}
	f.at, f.known = l.at, true
	return left
}

// sign notes that a listing shows a task.
func (f *fleet) sign(arn string, at time.Time) {
	if m := f.members[arn]; m != nil {
		m.seen = true
		if at.After(m.sign) {
			m.sign = at
		}
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
		m = &member{provider: providerOf(task), created: at}
		if task.CreatedAt != nil {
			m.created = *task.CreatedAt
		}
		f.members[arn] = m
	}
	m.seen, m.sign = true, at
	if definition := aws.ToString(task.TaskDefinitionArn); definition != "" {
		m.definition = definition
	}
	if running := aws.ToString(task.LastStatus) == "RUNNING"; running && m.started.IsZero() {
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
		if m.stop.asked() {
			d.fate = fateStopped
		}
		return d, true
	case aws.ToString(task.DesiredStatus) == "STOPPED":
		m.status = memberStopping
	case aws.ToString(task.LastStatus) == "RUNNING":
		m.status = memberRunning
	default:
		m.status = memberPending
	}
	return departure{}, false
}

func providerOf(task types.Task) string {
	if task.CapacityProviderName != nil {
		return *task.CapacityProviderName
	}
	return string(task.LaunchType)
}
