package worker

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"spate/job"
)

func TestTheTailKeepsTheLastLinesReadable(t *testing.T) {
	long := strings.Repeat("é", maxLineBytes)
	tests := map[string]struct {
		writes []string
		want   []string
	}{
		"nothing":              {nil, nil},
		"an unfinished line":   {[]string{"a\nb"}, []string{"a", "b"}},
		"lines across writes":  {[]string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		"empty lines":          {[]string{"\n\na\n"}, []string{"", "", "a"}},
		"carriage returns":     {[]string{"a\r\nb\r\n"}, []string{"a", "b"}},
		"no UTF-8":             {[]string{"a\xff\xfeb\n"}, []string{"a�b"}},
		"a long line":          {[]string{strings.Repeat("x", 5000), "y\nz\n"}, []string{strings.Repeat("x", maxLineBytes) + "…", "z"}},
		"cut in a character":   {[]string{"x" + long + "\n"}, []string{"x" + long[:maxLineBytes-2] + "…"}},
		"as long as it may be": {[]string{long[:maxLineBytes] + "\n"}, []string{long[:maxLineBytes]}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var emitted []string
			tail := &tail{emit: func(line string) { emitted = append(emitted, line) }}
			for _, w := range tt.writes {
				if n, err := tail.Write([]byte(w)); n != len(w) || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
			}
			if diff := cmp.Diff(tt.want, tail.lines()); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, emitted); diff != "" {
				t.Errorf("emitted (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzTail(f *testing.F) {
	f.Add([]byte("a\nb\xff\r\n"), 3)
	f.Add([]byte(strings.Repeat("é", 600)), 7)
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		whole, parts := &tail{}, &tail{}
		_, _ = whole.Write(data)
		for rest := data; len(rest) > 0; {
			n := min(max(step, 1), len(rest))
			_, _ = parts.Write(rest[:n])
			rest = rest[n:]
		}
		lines := whole.lines()
		if diff := cmp.Diff(lines, parts.lines()); diff != "" {
			t.Errorf("other lines when written in parts:\n%s", diff)
		}
		if len(lines) > keptLines {
			t.Errorf("%d lines kept", len(lines))
		}
		for _, line := range lines {
			// A byte that is no UTF-8 becomes three.
			if !utf8.ValidString(line) || len(line) > 3*maxLineBytes+len("…") || strings.Contains(line, "\n") {
				t.Errorf("line %q", line)
			}
		}
	})
}

func TestVerdictsOfErrors(t *testing.T) {
	code := 3
	parent := job.Key{9}
	tests := []struct {
		err   error
		what  outcome
		event job.EventType // "" when the message is given back
		cause string
		after time.Duration
	}{
		{&jobError{Cause: "exit code 3", ExitCode: &code}, failed, job.EventFailed, "exit code 3", 0},
		{onDisk(&os.PathError{Op: "write", Path: "/w/x", Err: syscall.ENOSPC}), failed, job.EventFailed, "no space left on device", 0},
		{&inputChangedError{"a", "gone"}, inputChanged, job.EventInputChanged, `input "a": gone`, 0},
		{&parentLostError{Parent: parent, Cause: "gone"}, parentLost, job.EventParentLost, "output of parent 090000000000: gone", 0},
		{fmt.Errorf("read x: %w", errStopping), interrupted, "", "", 0},
		{errors.New("connection reset"), postponed, "", "", postponedFor},
		{onDisk(&os.PathError{Op: "open", Path: "/w/x", Err: syscall.EIO}), postponed, "", "", postponedFor},
	}
	for _, tt := range tests {
		t.Run(string(tt.what), func(t *testing.T) {
			v := verdictOf(tt.err, job.Event{Job: "j"}, report{seconds: 2, lines: []string{"bye"}})
			if v.outcome != tt.what || v.after != tt.after || (v.event != nil) != (tt.event != "") {
				t.Fatalf("verdict %+v", v)
			}
			if v.event == nil {
				return
			}
			if v.event.Type != tt.event || v.event.Cause != tt.cause || v.event.Job != "j" || v.event.Seconds != 2 || len(v.event.LastLines) != 1 {
				t.Errorf("event %+v", v.event)
			}
		})
	}
}

func TestDirectoriesOfATaskStayInTheWorkDirectory(t *testing.T) {
	for _, task := range []job.TaskDocument{{InputDir: "../in"}, {OutputDirs: []string{"out", "/etc"}}} {
		if _, err := layOut("/w", task); err == nil {
			t.Errorf("task %+v was laid out", task)
		}
	}
}

func TestProgramsAreLookedUp(t *testing.T) {
	work, bin := t.TempDir(), t.TempDir()
	program := func(dir, name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	staged, installed := program(work, "staged", 0o700), program(bin, "tool", 0o700)
	program(bin, "data", 0o600)
	own := program(t.TempDir(), "own", 0o700)
	t.Chdir(filepath.Dir(own))
	tests := []struct {
		name, want string
	}{
		{"./staged", staged},
		{"./own", own},
		{"tool", installed},
		{installed, installed},
		{"data", ""},
		{"staged", ""}, // not on PATH
		{"./tool", ""},
	}
	for _, tt := range tests {
		got, err := lookUp(tt.name, work, ".:"+bin)
		if tt.want == "" && err == nil || tt.want != "" && got != tt.want {
			t.Errorf("lookUp(%q) = %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestTheFileCacheDropsWhatWasLongestUnused(t *testing.T) {
	dir := t.TempDir()
	c, err := newFileCache(filepath.Join(dir, "cache"), 100)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string, size int) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.add(name, path); err != nil {
			t.Fatal(err)
		}
	}
	has := func(name string) bool {
		t.Helper()
		n, ok, err := c.copyTo(name, filepath.Join(dir, "copy"))
		if err != nil {
			t.Fatal(err)
		}
		return ok && n > 0
	}
	add("a", 40)
	add("b", 40)
	add("b", 40) // twice is once
	if !has("a") {
		t.Error("a is gone although there is room")
	}
	add("c", 40) // b is longest unused
	add("large", 51)
	if err := c.add("", filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "large": false, "": false} {
		if has(name) != want {
			t.Errorf("cache has %q: %t, want %t", name, !want, want)
		}
	}
	if c.bytes != 80 {
		t.Errorf("%d bytes counted, want 80", c.bytes)
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d files on disk, want 2 (%v)", len(entries), err)
	}
}

func TestSettingsAreReadFromTheEnvironment(t *testing.T) {
	env := map[string]string{
		"SPATE_POOL": "rollup", "SPATE_QUEUE_URL": "http://q/jobs", "SPATE_EVENTS_QUEUE_URL": "http://q/events", "SPATE_BUCKET": "data",
		"SPATE_SLOTS": "2", "SPATE_IDLE_TIMEOUT": "15m", "SPATE_VISIBILITY_TIMEOUT": "2m", "SPATE_RETENTION": "720h", "PATH": "/bin",
	}
	got, err := ReadSettings(func(name string) string { return env[name] })
	want := Settings{
		Pool: "rollup", QueueURL: "http://q/jobs", EventsQueueURL: "http://q/events", Bucket: "data", Slots: 2,
		IdleTimeout: 15 * time.Minute, Visibility: 2 * time.Minute, Retention: 720 * time.Hour, StopGrace: DefaultStopGrace, Path: "/bin",
	}
	if err != nil || got != want {
		t.Errorf("have %+v, %v", got, err)
	}
	env["SPATE_STOP_GRACE"] = "90s"
	if got, err := ReadSettings(func(name string) string { return env[name] }); err != nil || got.StopGrace != 90*time.Second {
		t.Errorf("stop grace %s, %v", got.StopGrace, err)
	}
	env["SPATE_LAUNCHED_AT"] = "2026-11-21T02:14:00.5Z"
	launched := time.Date(2026, 11, 21, 2, 14, 0, 500_000_000, time.UTC)
	if got, err := ReadSettings(func(name string) string { return env[name] }); err != nil || !got.Launched.Equal(launched) {
		t.Errorf("launched %s, %v", got.Launched, err)
	}
}

func TestSettingsNameEverythingThatIsWrong(t *testing.T) {
	env := map[string]string{"SPATE_SLOTS": "none", "SPATE_IDLE_TIMEOUT": "15", "SPATE_RETENTION": "-1h", "SPATE_STOP_GRACE": "soon", "SPATE_LAUNCHED_AT": "now"}
	_, err := ReadSettings(func(name string) string { return env[name] })
	for _, want := range []string{
		"SPATE_POOL is not set", "SPATE_QUEUE_URL is not set", "SPATE_EVENTS_QUEUE_URL is not set", "SPATE_BUCKET is not set",
		`SPATE_SLOTS is "none"`, `SPATE_IDLE_TIMEOUT is "15"`, "SPATE_VISIBILITY_TIMEOUT is not set", `SPATE_RETENTION is "-1h"`,
		`SPATE_STOP_GRACE is "soon"`, `SPATE_LAUNCHED_AT is "now"`,
	} {
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("error %v, want it to name %q once", err, want)
		}
	}
}

func TestAWorkerLearnsWhoItIs(t *testing.T) {
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch tries++; {
		case tries == 1: // not ready yet
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/v4/abc":
			fmt.Fprint(w, `{"Name":"worker","ImageID":"sha256:1111","Limits":{"CPU":2}}`)
		case r.URL.Path == "/v4/abc/task":
			fmt.Fprint(w, `{"Cluster":"hpc","TaskARN":"arn:aws:ecs:task"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	env := map[string]string{metadataVariable: server.URL + "/v4/abc"}
	got, err := Identify(t.Context(), func(name string) string { return env[name] })
	if want := (Identity{TaskARN: "arn:aws:ecs:task", Image: "sha256:1111"}); err != nil || got != want {
		t.Errorf("have %+v, %v", got, err)
	}
	if _, err := Identify(t.Context(), func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), metadataVariable+" is not set") {
		t.Errorf("error %v", err)
	}
}

func TestTransfersHaveTimeByTheirSize(t *testing.T) {
	for size, want := range map[int64]time.Duration{-1: 30 * time.Minute, 0: time.Minute, 60 << 20: 2 * time.Minute} {
		if got := transferTime(size); got != want {
			t.Errorf("transferTime(%d) = %s, want %s", size, got, want)
		}
	}
}
