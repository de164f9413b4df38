package main

import (
	"bytes"
	"strings"
	"testing"

	"spate/job"
)

func TestAWorkerThatCannotBeginExitsWithACodeOfItsOwn(t *testing.T) {
	var errs bytes.Buffer
	environ := map[string]string{taskVariable: "http://127.0.0.1:1/v4/task", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
	code := run(program{nil, &bytes.Buffer{}, &errs, nil, func(name string) string { return environ[name] }}, []string{"worker"})
	if code != job.ExitNothingReceived || !strings.Contains(errs.String(), "SPATE_QUEUE_URL is not set") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}
