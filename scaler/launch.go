package scaler

import (
	"errors"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"spate/internal/awsclient"
)

// maxCalls is how many RunTask calls overlap: as many as are sent in two seconds and more, should answers take that long.
const maxCalls = 32

const (
	// callsPerSecond is how many calls a ramp aims at: half of the 20 that Fargate allows. The smaller they are, the more of
	// them show what the limit is, and the less one of them costs that is throttled or has no answer.
	callsPerSecond = 10
	// What so many calls would ask for at once, as at the beginning of a ramp, is asked for by as few as possible.
	callsAtOnce = 5
)

// callSize is how many tasks a call has when so many may be launched a second.
func callSize(perSecond float64) int {
	return max(1, min(maxTasksPerCall, int(math.Ceil(perSecond/callsPerSecond-dust))))
}

// inCalls is how many tasks the calls have that ask for so many at once, when they usually have call.
func inCalls(tasks, call int) int {
	if tasks < callsAtOnce*call {
		return call
	}
	return maxTasksPerCall
}

// outcome reads an answer of RunTask.
func outcome(out *ecs.RunTaskOutput, err error) Outcome {
	if err != nil {
		o := Outcome{Class: awsclient.Classify(err), Code: awsclient.Code(err), Reason: sentenceOf(err)}
		if conflict, ok := errors.AsType[*types.ConflictException](err); ok {
			o.Tasks = conflict.ResourceIds
		}
		return o
	}
	var o Outcome
	for _, task := range out.Tasks {
		o.Tasks = append(o.Tasks, aws.ToString(task.TaskArn))
	}
	for _, f := range out.Failures {
		reason := aws.ToString(f.Reason)
		if detail := aws.ToString(f.Detail); detail != "" {
			reason += " (" + detail + ")"
		}
		o.Failures = append(o.Failures, Failure{Class: awsclient.ClassifyFailure(reason), Reason: reason})
		o.Reason = reason
	}
	return o
}

// sentenceOf is the service's own sentence, or the whole error when there is none.
func sentenceOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorMessage() != "" {
		return api.ErrorMessage()
	}
	return err.Error()
}

// capacityHold is how long something is left alone that ECS refused for a reason which may pass.
const capacityHold = 15 * time.Second

// holds says which providers an outcome leaves alone for a while. Room is for [rooms], what lasts longer for the breakers.
func (o Outcome) holds(now time.Time, provider string) []Hold {
	var holds []Hold
	add := func(class awsclient.Class, reason string) {
		switch class {
		case awsclient.ClassUnknown, awsclient.ClassTransient:
			holds = append(holds, Hold{Provider: provider, Until: now.Add(capacityHold), Limit: LimitCapacity, Reason: reason})
		case awsclient.ClassNone, awsclient.ClassThrottled, awsclient.ClassCapacity, awsclient.ClassConfiguration, awsclient.ClassConflict, awsclient.ClassQuota:
		}
	}
	if o.Class != awsclient.ClassNone {
		if !o.Class.Ambiguous() {
			add(o.Class, o.Reason)
		}
		return holds
	}
	for _, f := range o.Failures {
		add(f.Class, f.Reason)
	}
	return holds
}

// throttled reports whether ECS asks to slow down.
func (o Outcome) throttled() bool {
	if o.Class == awsclient.ClassThrottled {
		return true
	}
	for _, f := range o.Failures {
		if f.Class == awsclient.ClassThrottled {
			return true
		}
	}
	return false
}

// repeatAfter is how long a request that was answered so often, the last time with the class, waits to be sent again. After
// throttling the pace says when.
func repeatAfter(calls int, class awsclient.Class) time.Duration {
	if class == awsclient.ClassThrottled {
		return 0
	}
	return min(15*time.Second, 500*time.Millisecond<<min(10, max(0, calls-1)))
}
