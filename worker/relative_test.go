package worker

import (
	"slices"
	"testing"

	"spate/job"
)

func TestLastLinesDoNotNameTheWorkersDirectories(t *testing.T) {
	ws, err := layOut("/tmp/spate-worker-1/slot-0", job.TaskDocument{InputDir: "in", OutputDirs: []string{"out"}})
	if err != nil {
		t.Fatal(err)
	}
	got := ws.relative([]string{
		"open /tmp/spate-worker-1/slot-0/work/in/melt.csv: no such file", "cwd /tmp/spate-worker-1/slot-0/work", "home /tmp/spate-worker-1/slot-0/home",
	})
	want := []string{"open in/melt.csv: no such file", "cwd .", "home ../home"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
