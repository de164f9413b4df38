package planner

import (
	"testing"

	"spate/job"
)

func TestJudge(t *testing.T) {
	task := job.TaskType{Name: "price", MaxAttempts: 3, PermanentExitCodes: []int{65, 66}}
	exit := func(attempt, code int, last ...string) Failure {
		return Failure{Attempt: attempt, ExitCode: &code, LastLines: last}
	}
	timeout := func(attempt int) Failure {
		return Failure{Attempt: attempt, Cause: "it took longer than 1h", LastLines: []string{"working"}}
	}
	for name, tc := range map[string]struct {
		failures []Failure
		want     Verdict
	}{
		"nothing failed":          {nil, Verdict{Retry: true, Reason: "no attempt has failed"}},
		"first of three":          {[]Failure{exit(1, 1, "oh")}, Verdict{Retry: true, Reason: "attempt 1 of 3 failed"}},
		"another way":             {[]Failure{exit(1, 1, "oh"), exit(2, 1, "ah")}, Verdict{Retry: true, Reason: "attempt 2 of 3 failed"}},
		"another exit code":       {[]Failure{exit(1, 1, "oh"), exit(2, 2, "oh")}, Verdict{Retry: true, Reason: "attempt 2 of 3 failed"}},
		"the last of three":       {[]Failure{exit(1, 1, "oh"), exit(2, 1, "ah"), exit(3, 1, "eh")}, Verdict{Reason: "attempt 3 was the last of 3"}},
		"the same end":            {[]Failure{exit(1, 1, "at work", "oh"), exit(2, 1, "at rest", "oh")}, Verdict{Reason: "attempts 1 and 2 ended alike"}},
		"the same as the first":   {[]Failure{exit(1, 1, "oh"), exit(2, 1, "ah"), exit(3, 1, "oh")}, Verdict{Reason: "attempts 1 and 3 ended alike"}},
		"the same line before":    {[]Failure{exit(1, 1, "oh", "one"), exit(2, 1, "oh", "two")}, Verdict{Retry: true, Reason: "attempt 2 of 3 failed"}},
		"silent twice":            {[]Failure{exit(1, 1), exit(2, 1)}, Verdict{Retry: true, Reason: "attempt 2 of 3 failed"}},
		"killed alike":            {[]Failure{timeout(1), timeout(2)}, Verdict{Retry: true, Reason: "attempt 2 of 3 failed"}},
		"a permanent exit code":   {[]Failure{exit(1, 65, "bad")}, Verdict{Reason: "exit code 65 is permanent for task price"}},
		"permanent at the second": {[]Failure{exit(1, 1, "oh"), exit(2, 66, "bad")}, Verdict{Reason: "exit code 66 is permanent for task price"}},
		"an input changed":        {[]Failure{{Attempt: 1, Final: true}}, Verdict{Reason: "it would read the same again: submit the run anew"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Judge(task, tc.failures); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}
