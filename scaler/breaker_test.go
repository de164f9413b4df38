package scaler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/cockroachdb/datadriven"
)

// TestBreakerStories runs the stories of testdata/breaker. Their commands:
//
//	demand revision=
//	launch GROUP COUNT [revision=]            tasks, pending from now on
//	run GROUP                                 all of the group that have not ended run from now on
//	end GROUP COUNT [exit=] [stop=CODE]       ECS's reason in the lines below
//	answer PROVIDER [tasks=] [code=]          of RunTask; the exception's sentence, or one failure a line, in the lines below
//	try PROVIDER COUNT                        a plan launches so many
//	wait DURATION
//	takeover                                  another controller leads
//	resume                                    somebody says that it is mended
//	show
func TestBreakerStories(t *testing.T) {
	datadriven.Walk(t, "testdata/breaker", func(t *testing.T, path string) {
		s := breakerStory{b: breakers{idleTimeout: 15 * time.Minute}, now: planNow, fleet: newFleet(), groups: map[string][]string{}, definition: definition("rollup", 7)}
		datadriven.RunTest(t, path, s.run)
	})
}

type breakerStory struct {
	now        time.Time
	b          breakers
	fleet      *fleet
	groups     map[string][]string
	definition string
}

func (s *breakerStory) run(t *testing.T, d *datadriven.TestData) string {
	name := ""
	if len(d.CmdArgs) > 0 {
		name = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "demand":
		s.definition = definition("rollup", number(t, d, "revision"))
	case "wait":
		s.now = s.now.Add(duration(t, name))
	case "resume":
		s.b.reset(s.now)
	case "takeover":
		open := s.b.open
		s.b = breakers{}
		s.b.takeOver(s.now, open)
	case "launch":
		of := s.definition
		if revision := number(t, d, "revision"); revision > 0 {
			of = definition("rollup", revision)
		}
		for range atoi(t, d.CmdArgs[1].Key) {
			arn := fmt.Sprintf("%s-%d", name, len(s.groups[name]))
			s.groups[name] = append(s.groups[name], arn)
			s.fleet.launched(s.now, "FARGATE", of, []string{arn})
		}
	case "run":
		for _, arn := range s.groups[name] {
			s.fleet.members[arn].status, s.fleet.members[arn].started = memberRunning, s.now
		}
	case "end":
		s.end(t, d, name)
	case "answer":
		s.answer(t, d, name)
	case "try":
		s.b.tried(s.now, []Launch{{Provider: name, Count: atoi(t, d.CmdArgs[1].Key)}})
	case "show":
		return s.show()
	default:
		d.Fatalf(t, "no such command")
	}
	s.b.judge(s.now, s.definition, s.fleet)
	return ""
}

func (s *breakerStory) end(t *testing.T, d *datadriven.TestData, group string) {
	for range atoi(t, d.CmdArgs[1].Key) {
		arn := s.groups[group][0]
		s.groups[group] = s.groups[group][1:]
		m := s.fleet.members[arn]
		task := types.Task{StoppedReason: &d.Input, StoppedAt: &s.now}
		if d.HasArg("stop") {
			var code string
			d.ScanArgs(t, "stop", &code)
			task.StopCode = types.TaskStopCode(code)
		}
		if d.HasArg("exit") {
			exit := int32(number(t, d, "exit"))
			task.Containers = []types.Container{{ExitCode: &exit}}
		}
		gone := departed(task)
		if gone.stopped.IsZero() {
			t.Fatal("it is not known when the task has stopped")
		}
		gone.definition, gone.created, gone.started = m.definition, m.created, m.started
		delete(s.fleet.members, arn)
		s.b.stopped(gone)
	}
}

func (s *breakerStory) answer(t *testing.T, d *datadriven.TestData, provider string) {
	if d.HasArg("code") {
		var code string
		d.ScanArgs(t, "code", &code)
		s.b.answered(s.now, provider, outcome(nil, &smithy.GenericAPIError{Code: code, Message: d.Input}))
		return
	}
	out := &ecs.RunTaskOutput{Tasks: make([]types.Task, number(t, d, "tasks"))}
	for line := range strings.Lines(d.Input) {
		line = strings.TrimSpace(line)
		out.Failures = append(out.Failures, types.Failure{Reason: &line})
	}
	s.b.answered(s.now, provider, outcome(out, nil))
}

func (s *breakerStory) show() string {
	s.b.judge(s.now, s.definition, s.fleet)
	var text strings.Builder
	fmt.Fprintf(&text, "%s: ", s.now.Format(time.TimeOnly))
	if len(s.b.open) == 0 {
		return text.String() + "no breaker\n"
	}
	for _, x := range s.b.open {
		of := x.Provider
		if of == "" {
			of = "pool"
		}
		fmt.Fprintf(&text, "%s of %s %s since %s, next try %s, %d failed\n  %s\n  to do: %s\n",
			x.Kind, of, x.State, x.Since.Format(time.TimeOnly), x.NextTry.Format(time.TimeOnly), x.Trials, x.Reason, x.Remedy)
	}
	for _, h := range s.b.holds(s.now) {
		fmt.Fprintf(&text, "  plan: %d may be launched\n", h.Trial)
	}
	return text.String()
}
