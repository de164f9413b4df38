package scaler

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"spate/internal/awsclient"
	"spate/job"
)

// fate is how a task left.
type fate string

const (
	fateExited   fate = "exited"   // with exit code 0
	fateFailed   fate = "failed"   // with another one, or without having started
	fateVanished fate = "vanished" // nobody knows
	fateStopped  fate = "stopped"  // because it was asked for here
)

// departure is a task that is gone.
type departure struct {
	arn        string
	definition string
	fate       fate
	code       string // ECS's stop code
	reason     string // and its sentence
	exit       *int32 // of the worker's container; nil when it has none
	created    time.Time
	started    time.Time // zero: it never ran
	stopped    time.Time // zero: it is not known when
}

// departed judges by the worker's own container, which the overrides name: others are killed when it has ended.
func departed(task types.Task) departure {
	d := departure{
		arn: aws.ToString(task.TaskArn), fate: fateFailed, code: string(task.StopCode), reason: aws.ToString(task.StoppedReason),
		started: aws.ToTime(task.StartedAt), stopped: aws.ToTime(task.StoppedAt),
	}
	worker := ""
	if task.Overrides != nil && len(task.Overrides.ContainerOverrides) > 0 {
		worker = aws.ToString(task.Overrides.ContainerOverrides[0].Name)
	}
	for _, c := range task.Containers {
		if worker != "" && aws.ToString(c.Name) != worker {
			continue
		}
		d.exit = c.ExitCode
		if c.ExitCode != nil && *c.ExitCode == 0 {
			d.fate = fateExited
		}
		if reason := aws.ToString(c.Reason); reason != "" && !strings.Contains(d.reason, reason) {
			d.reason += ": " + reason
		}
		break
	}
	return d
}

// symptom is what a task's end says about its task definition.
type symptom uint8

const (
	symptomNone  symptom = iota // nothing
	symptomCrash                // it never started, or ended before its first receive
	symptomWell                 // it has worked
)

// symptom judges by what is certain first: the worker's own word that it has received nothing. A worker that was killed says
// nothing: a job that needs too much memory kills workers, too, and within seconds.
// A program that exits with 0 long before a worker of the pool could have been idle for its timeout is no worker, such as
// an image's default command.
func (d departure) symptom(idleTimeout time.Duration) symptom {
	switch {
	case d.fate == fateVanished, d.fate == fateStopped:
		return symptomNone
	case d.fate == fateExited && !d.asked() && d.ran(min(livedAfter, idleTimeout/2)):
		return symptomCrash
	case d.fate == fateExited:
		return symptomWell
	case d.exit != nil && *d.exit == job.ExitNothingReceived:
		return symptomCrash
	case d.asked(), d.crowded():
		return symptomNone
	case d.started.IsZero():
		return symptomCrash
	case d.exit == nil:
		return symptomNone
	case strings.Contains(d.reason, "OutOfMemory"), *d.exit == exitKilled, *d.exit == exitTerminated:
		return symptomNone
	case d.ran(livedAfter):
		return symptomCrash
	default:
		return symptomWell
	}
}

// ran reports whether the task is known to have run for less than a time.
func (d departure) ran(less time.Duration) bool {
	return !d.started.IsZero() && !d.stopped.IsZero() && d.stopped.Sub(d.started) < less
}

// run is for how long the task ran; 0: not at all, or that is not known.
func (d departure) run() time.Duration {
	if d.started.IsZero() || d.stopped.IsZero() {
		return 0
	}
	return max(0, d.stopped.Sub(d.started))
}

// Exit codes of processes that a signal ended (POSIX shells: 128 and the signal's number).
const (
	exitKilled     = 128 + 9
	exitTerminated = 128 + 15
)

// asked reports whether somebody wanted the task to stop ("StopTask" and "Task" in the Amazon ECS API reference).
func (d departure) asked() bool {
	switch types.TaskStopCode(d.code) {
	case types.TaskStopCodeUserInitiated, types.TaskStopCodeServiceSchedulerInitiated, types.TaskStopCodeSpotInterruption,
		types.TaskStopCodeTerminationNotice:
		return true
	case types.TaskStopCodeTaskFailedToStart, types.TaskStopCodeEssentialContainerExited:
	}
	return false
}

// crowded reports whether there was no room for the task, or too much was launched at once.
func (d departure) crowded() bool {
	class := awsclient.ClassifyFailure(d.reason)
	return class == awsclient.ClassCapacity || class == awsclient.ClassThrottled
}

// words say how the task ended.
func (d departure) words() string {
	text := d.reason
	if d.exit != nil {
		text = strings.TrimSuffix(fmt.Sprintf("exit code %d: %s", *d.exit, text), ": ")
	}
	if text == "" {
		text = d.code
	}
	if text == "" {
		return "no reason given"
	}
	return text
}

// remedy is what a person can do about a crash ("Stopped tasks error codes" in the Amazon ECS developer guide).
func (d departure) remedy() string {
	has := func(part string) bool { return strings.Contains(d.reason, part) }
	switch {
	case has("CannotPull"):
		return "check the image: that it exists, also for the tasks' CPU architecture, and that the execution role and the subnets' routes let it be pulled"
	case has("ResourceInitializationError"), has("Fetching secret"):
		return "check the execution role, the secrets and the log group of the task definition, and that the subnets have a route to AWS (a NAT gateway, or VPC endpoints)"
	case has("network interface"), has("Network interface"):
		return "check the pool's subnets and security groups; if they are right, it passes by itself"
	case has("Cannot"), d.exit != nil && (*d.exit == 126 || *d.exit == 127):
		return "check the task definition's command, `spate worker`, and that the image is one of the tasks' CPU architecture"
	case d.exit != nil && *d.exit == job.ExitNothingReceived:
		return "read the log of a worker: it says why it could not begin"
	case d.fate == fateExited:
		return "check the task definition's command: it must be `spate worker`"
	default:
		return "read the log of a worker, and check the task definition"
	}
}

// StopCount is how many of a pool's tasks have ended in one way.
type StopCount struct {
	Reason string    `dynamodbav:"reason" json:"reason"` // without ids
	Count  int       `dynamodbav:"count" json:"count"`
	Last   time.Time `dynamodbav:"last" json:"last"`
}

const (
	maxStops      = 10  // reasons that are kept
	maxStopReason = 240 // characters of one
)

// countStop counts one more task that ended for a reason. Beyond ten reasons the one that was longest ago is forgotten. The
// newest comes first.
func countStop(counts []StopCount, now time.Time, reason string) []StopCount {
	c := StopCount{Reason: withoutIDs(reason)}
	counts = slices.Clone(counts)
	if i := slices.IndexFunc(counts, func(x StopCount) bool { return x.Reason == c.Reason }); i >= 0 {
		c = counts[i]
		counts = slices.Delete(counts, i, i+1)
	}
	c.Count++
	c.Last = now
	counts = slices.Insert(counts, 0, c)
	return counts[:min(len(counts), maxStops)]
}

// ids are what differs from task to task: ids, numbers of accounts and requests, addresses.
var ids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b(?:eni|i|task|subnet)-[0-9a-f]{6,}\b|\b[0-9a-f]{16,}\b|\b\d{6,}\b|\b\d+\.\d+\.\d+\.\d+(?::\d+)?\b`)

// withoutIDs is a reason without its ids.
func withoutIDs(reason string) string {
	text := []rune(ids.ReplaceAllString(strings.Join(strings.Fields(reason), " "), "…"))
	if len(text) > maxStopReason {
		return string(text[:maxStopReason-1]) + "…"
	}
	return string(text)
}
