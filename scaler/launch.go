package scaler

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"spate/internal/awsclient"
)

const (
	// callTimeout is how long RunTask may take; after it, what became of the request is unknown.
	callTimeout = 10 * time.Second
	// maxCalls is how many RunTask calls overlap.
	maxCalls = 16
)

// errNotSent says that a request was not sent, because its time or the leader's was over.
var errNotSent = errors.New("request not sent")

// launch sends the intent's request, unless the term or the intent's time has ended. The only error is errNotSent, or a
// record that cannot be read.
func (s *Scaler) launch(ctx context.Context, i Intent) (Outcome, error) {
	request, err := i.decodeRequest()
	if err != nil {
		return Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if now := time.Now(); !s.o.Term.Valid(now) || !i.Repeatable(now) {
		return Outcome{}, errNotSent
	}
	out, err := s.o.ECS.RunTask(ctx, request)
	return outcome(out, err), nil
}

// outcome reads an answer of RunTask.
func outcome(out *ecs.RunTaskOutput, err error) Outcome {
	if err != nil {
		o := Outcome{Class: awsclient.Classify(err), Reason: sentenceOf(err)}
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

// How long a pool or a provider is left alone after a refusal.
const (
	configurationHold = 30 * time.Second
	capacityHold      = 15 * time.Second
)

// holds says what an outcome keeps from launching, and how long.
func (o Outcome) holds(now time.Time, provider string) []Hold {
	var holds []Hold
	add := func(class awsclient.Class, reason string) {
		switch class {
		case awsclient.ClassConfiguration, awsclient.ClassConflict:
			holds = append(holds, Hold{Until: now.Add(configurationHold), Limit: LimitConfiguration, Reason: reason})
		case awsclient.ClassQuota:
			holds = append(holds, Hold{Provider: provider, Until: now.Add(capacityHold), Limit: LimitQuota, Reason: reason})
		case awsclient.ClassCapacity, awsclient.ClassUnknown, awsclient.ClassTransient:
			holds = append(holds, Hold{Provider: provider, Until: now.Add(capacityHold), Limit: LimitCapacity, Reason: reason})
		case awsclient.ClassNone, awsclient.ClassThrottled:
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

// repeatAfter is how long a request that was answered so often, the last time with the class, waits to be sent again.
func repeatAfter(calls int, class awsclient.Class) time.Duration {
	most := 15 * time.Second
	if class == awsclient.ClassThrottled {
		most = 4 * time.Second // the bucket does the slowing down
	}
	return min(most, 500*time.Millisecond<<min(10, max(0, calls-1)))
}
