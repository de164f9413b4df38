package watch

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"spate/job"
	"spate/planner"
	"spate/scaler"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", path, diff)
	}
}

// scene is a moment of a run.
type scene struct {
	name      string
	run       planner.Run
	workers   int
	perSecond float64
}

func scenes() []scene {
	active := func(p planner.Progress) planner.Run { return planner.Run{State: job.RunActive, Progress: p} }
	reasoned := func(r planner.Run, reason string) planner.Run {
		r.Reason = reason
		return r
	}
	return []scene{
		{"received", planner.Run{State: job.RunReceived}, 0, 0},
		{"planning", planner.Run{State: job.RunPlanning}, 0, 0},
		{"planning, with trouble", reasoned(planner.Run{State: job.RunPlanning}, "cannot resolve the task definition"), 0, 0},
		{"rejected", reasoned(planner.Run{State: job.RunRejected}, "the manifest is not valid"), 0, 0},
		{"nothing done yet", active(planner.Progress{Jobs: 7000, Queued: 7000}), 0, 0},
		{"workers start", active(planner.Progress{Jobs: 7000, Cached: 6790, Queued: 210}), 21, 0},
		{"under way", active(planner.Progress{Jobs: 7000, Cached: 3000, Done: 1234, Running: 800, Queued: 1966}), 812, 123.4},
		{"one worker", active(planner.Progress{Jobs: 60, Done: 12, Running: 1, Queued: 47}), 1, 2},
		{"slow", active(planner.Progress{Jobs: 60, Done: 12, Running: 8, Queued: 40}), 8, 0.02},
		{"very slow", active(planner.Progress{Jobs: 60, Done: 1, Running: 8, Queued: 51}), 8, 0.00001},
		{"failures", active(planner.Progress{Jobs: 60, Done: 40, Failed: 2, Blocked: 11, Running: 7}), 8, 1.5},
		{"only failures are left", active(planner.Progress{Jobs: 60, Done: 47, Failed: 2, Blocked: 11}), 8, 1.5},
		{"a million", active(planner.Progress{Jobs: 1000000, Cached: 912345, Done: 12345, Running: 3000, Queued: 72310}), 3000, 2345},
		{"a million with failures", active(planner.Progress{Jobs: 1000000, Cached: 912345, Done: 12345, Failed: 1234, Blocked: 23456, Running: 3000}), 3000, 2345},
		{"with a reason", reasoned(active(planner.Progress{Jobs: 60, Done: 12, Running: 8, Queued: 40}), "the cache does not answer, so that every job counts as missing until it does, which may be a while — see the runbook"), 8, 2},
		{"succeeded", planner.Run{State: job.RunSucceeded, Progress: planner.Progress{Jobs: 7000, Cached: 6790, Done: 210}}, 21, 70},
		{"cancelling", reasoned(planner.Run{State: job.RunCancelling, Progress: planner.Progress{Jobs: 7000, Cached: 3000, Done: 1234, Running: 12, Queued: 900, Cancelled: 1866}}, "cancelled by kim@desk: wrong terms"), 12, 0},
		{"cancelled", reasoned(planner.Run{State: job.RunCancelled, Progress: planner.Progress{Jobs: 7000, Cached: 3000, Done: 1250, Cancelled: 2750}}, "cancelled by kim@desk: wrong terms"), 0, 0},
		{"failed", reasoned(planner.Run{State: job.RunFailed, Progress: planner.Progress{Jobs: 60, Done: 47, Failed: 2, Blocked: 11}}, "2 jobs failed"), 0, 0},
	}
}

func TestALineSaysWhatMattersWithinItsWidth(t *testing.T) {
	var b strings.Builder
	for _, s := range scenes() {
		line := Line(&s.run, s.workers, s.perSecond)
		if n := utf8.RuneCountInString(line); n > MaxColumns || strings.ContainsAny(line, "\n\r") {
			t.Errorf("%s: %d columns: %q", s.name, n, line)
		}
		fmt.Fprintf(&b, "%-24s %s\n", s.name, line)
	}
	golden(t, "lines.txt", b.String())
}

// screen is what a terminal of one line shows, and how much of it was used at most.
func screen(t *testing.T, written string) (shown string, columns int) {
	t.Helper()
	for frame := range strings.SplitSeq(written, "\r") {
		text, cleared := strings.CutSuffix(frame, "\x1b[K")
		if !cleared {
			text, cleared = strings.CutSuffix(frame, "\x1b[0K")
		}
		if strings.ContainsAny(text, "\x1b\n") || (!cleared && text != "") {
			t.Errorf("frame is %q", frame)
		}
		columns = max(columns, utf8.RuneCountInString(text))
		shown = text
	}
	return shown, columns
}

func TestATerminalsLineIsNeverBroken(t *testing.T) {
	var b strings.Builder
	for _, width := range []int{40, 80, 120} {
		fmt.Fprintf(&b, "%d columns:\n", width)
		for _, s := range scenes() {
			var out bytes.Buffer
			d := newDisplay(Options{Out: &out, Label: "nightly-rollup"})
			d.columns = func() int { return width }
			s.run.Pool = "rollup"
			pools := []scaler.Status{{Pool: "deals", Running: 5}, {Pool: "rollup", Running: s.workers}}
			d.rate.add(time.Unix(0, 0), s.run.Progress.Done-int(10*s.perSecond))
			d.update(time.Unix(10, 0), &s.run, pools)
			shown, used := screen(t, out.String())
			if used >= width {
				t.Errorf("%s: %d of %d columns used", s.name, used, width)
			}
			fmt.Fprintf(&b, "%s\n", strings.TrimRight(shown, " "))
			out.Reset()
			d.close()
			if shown, _ := screen(t, out.String()); shown != "" {
				t.Errorf("%s: at the end there is %q", s.name, shown)
			}
		}
	}
	golden(t, "terminal.txt", b.String())
}

func TestElsewhereALineIsWrittenNowAndThenAndAtTheEnd(t *testing.T) {
	var out bytes.Buffer
	d := newDisplay(Options{Out: &out, Label: "nightly", Lines: 5 * time.Second})
	run := planner.Run{State: job.RunActive, Progress: planner.Progress{Jobs: 100}}
	start := time.Unix(0, 0)
	for i := range 41 {
		if run.Progress.Done = i * 2; i > 25 {
			run.Progress.Done = 50 // nothing happens for a while, and is not told
		}
		if i == 40 {
			run.State = job.RunFailed
		}
		d.update(start.Add(time.Duration(i)*500*time.Millisecond), &run, nil)
	}
	d.close()
	golden(t, "log.txt", out.String())
}

func TestTroubleIsToldWhenItLasts(t *testing.T) {
	trouble := func(columns func() int) string {
		var out bytes.Buffer
		d := newDisplay(Options{Out: &out, Label: "nightly", Lines: 5 * time.Second})
		d.columns = columns
		for i := range 21 {
			d.trouble(time.Unix(0, 0).Add(time.Duration(i)*500*time.Millisecond), time.Unix(0, 0), errors.New("no\ntable"))
		}
		return out.String()
	}
	if got, want := trouble(nil), "nightly  no answer since 4s: no\ntable\nnightly  no answer since 9s: no\ntable\n"; got != want {
		t.Errorf("elsewhere: %q", got)
	}
	written := trouble(func() int { return 80 })
	if shown, _ := screen(t, written); shown != "nightly no answer since 10s: no table" || strings.Contains(written, "since 3s") {
		t.Errorf("a terminal: %q", written)
	}
}

func TestARateIsOfWhatWasDoneNotOfWhatWasFound(t *testing.T) {
	var out bytes.Buffer
	d := newDisplay(Options{Out: &out, Label: "nightly"})
	run := planner.Run{State: job.RunActive, Progress: planner.Progress{Jobs: 10000}}
	d.update(time.Unix(0, 0), &run, nil)
	run.Progress.Cached, run.Progress.Done = 9000, 20
	out.Reset()
	d.update(time.Unix(10, 0), &run, nil)
	if got := out.String(); !strings.Contains(got, "ETA 8m10s · 2/s") {
		t.Errorf("written is %q", got)
	}
}

func TestAdviceAboutARunThatNobodyTakesUpFitsTheReason(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		serve string
		pools []scaler.Status
		want  string
	}{
		{"spate serve", nil, ", and none has ever reported: start one with `spate serve`"},
		{"spate serve", []scaler.Status{{At: now.Add(-time.Hour)}, {At: now.Add(-2 * time.Minute)}}, ", and none has reported for 2m0s: is `spate serve` running?"},
		{"spate serve", []scaler.Status{{At: now.Add(-time.Hour)}, {At: now.Add(-3 * time.Second)}}, "; one reported 3s ago: is it on the same submissions queue?"},
		{"spate serve", []scaler.Status{{At: now.Add(time.Second)}}, "; one reported 0s ago: is it on the same submissions queue?"},
		{"", nil, ""},
	} {
		d := newDisplay(Options{Serve: test.serve})
		if got := d.whyUnseen(now, test.pools); got != test.want {
			t.Errorf("%+v: %q, want %q", test.pools, got, test.want)
		}
	}
}
