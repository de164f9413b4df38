package main

import (
	"bytes"
	"strings"
	"testing"

	"spate/examples/reinsurance/model"
)

func TestHelpNamesEverythingThatRollupDoes(t *testing.T) {
	for _, flag := range []string{"--help", "-h", "help"} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{flag}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, %s", flag, code, &stderr)
		}
		for _, want := range append(model.TaskNames(), "rollup import", "SPATE_PARAMS", "TASK_NAME") {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("%s does not name %s:\n%s", flag, want, &stdout)
			}
		}
	}
}

func TestAnUnknownTaskIsToldWhatThereIs(t *testing.T) {
	const are = "import, or one of the tasks simulate-events, exchange-rates, price-deal, combine, portfolio\n  --help tells more.\n"
	t.Setenv("TASK_NAME", "")
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "rollup: no task is named: " + are},
		{[]string{"imports"}, `rollup: there is no "imports": ` + are},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), test.args, &stdout, &stderr); code != usageError || stderr.String() != test.want {
			t.Errorf("%v: exit code %d, %s", test.args, code, &stderr)
		}
	}
}
