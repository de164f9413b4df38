package scaler_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spate/scaler"
)

func TestLeversChangeWhatIsWanted(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	ten, zero := 10, 0
	var c scaler.Control
	for i, step := range []struct {
		pull    scaler.Pull
		mode    scaler.Mode
		cap     *int
		by      string // whose mode it is
		changed bool
	}{
		{scaler.Pull{Lever: scaler.LeverPause, By: "anna", Reason: "waiting"}, scaler.ModePaused, nil, "anna", true},
		{scaler.Pull{Lever: scaler.LeverPause, By: "ben"}, scaler.ModePaused, nil, "anna", false},
		{scaler.Pull{Lever: scaler.LeverPause, By: "ben", Reason: "waiting"}, scaler.ModePaused, nil, "anna", false},
		{scaler.Pull{Lever: scaler.LeverPause, By: "ben", Reason: "still waiting"}, scaler.ModePaused, nil, "ben", true},
		{scaler.Pull{Lever: scaler.LeverCap, By: "anna", Cap: &ten}, scaler.ModePaused, &ten, "ben", true},
		{scaler.Pull{Lever: scaler.LeverCap, By: "ben", Cap: &ten}, scaler.ModePaused, &ten, "ben", false},
		{scaler.Pull{Lever: scaler.LeverDrain, By: "anna"}, scaler.ModeDrained, &ten, "anna", true},
		{scaler.Pull{Lever: scaler.LeverKill, By: "ben"}, scaler.ModeKilled, &ten, "ben", true},
		{scaler.Pull{Lever: scaler.LeverResume, By: "anna"}, scaler.ModeRun, &ten, "anna", true},
		{scaler.Pull{Lever: scaler.LeverResume, By: "ben"}, scaler.ModeRun, &ten, "ben", true}, // perhaps about a breaker
		{scaler.Pull{Lever: scaler.LeverCap, By: "ben", Cap: &zero}, scaler.ModeRun, &zero, "ben", true},
		{scaler.Pull{Lever: scaler.LeverCap, By: "ben"}, scaler.ModeRun, nil, "ben", true},
		{scaler.Pull{Lever: scaler.LeverCap, By: "ben"}, scaler.ModeRun, nil, "ben", false},
	} {
		step.pull.Pool = "rollup"
		next, changed := c.Pulled(begin.Add(time.Duration(i)*time.Minute), step.pull)
		if next.Mode != step.mode || !cmp.Equal(next.Cap, step.cap) || next.Set.By != step.by || changed != step.changed {
			t.Fatalf("step %d, %s by %s: %+v, changed %t", i, step.pull.Lever, step.pull.By, next, changed)
		}
		if want := c.Version + map[bool]int{true: 1}[changed]; next.Version != want {
			t.Errorf("step %d: version %d, want %d", i, next.Version, want)
		}
		c = next
	}
}

func TestLeversPulledAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	a := newAccount(t, "true")
	const pulls = 6
	var all sync.WaitGroup
	for n := range pulls {
		all.Go(func() {
			by := fmt.Sprintf("user-%d", n)
			before, after, changed, err := scaler.PullLever(t.Context(), a.table, scaler.Pull{Pool: "rollup", Lever: scaler.LeverCap, Cap: &n, By: by})
			if err != nil || !changed || after.Version != before.Version+1 || *after.Cap != n || after.CapSet.By != by {
				t.Errorf("before %+v, after %+v, %t, %v", before, after, changed, err)
			}
		})
	}
	all.Wait()
	changes, err := scaler.ReadChanges(t.Context(), a.table, "rollup")
	if err != nil || len(changes) != pulls {
		t.Fatalf("%d changes recorded, want %d (%v)", len(changes), pulls, err)
	}
	for i, c := range changes {
		if c.After.Version != i+1 || c.Lever != scaler.LeverCap || c.Mark != c.After.CapSet || c.ExpiresAt < time.Now().Add(89*24*time.Hour).Unix() {
			t.Errorf("change %d: %+v", i, c)
		}
		if i > 0 && !cmp.Equal(c.Before, changes[i-1].After) {
			t.Errorf("change %d did not start from the one before: %s", i, cmp.Diff(c.Before, changes[i-1].After))
		}
	}
	control, err := scaler.ReadControl(t.Context(), a.table, "rollup")
	if err != nil || !cmp.Equal(control, changes[pulls-1].After) {
		t.Errorf("control %+v, %v", control, err)
	}
}

func TestAControlIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	a := newAccount(t, "true")
	if c, err := scaler.ReadControl(t.Context(), a.table, "rollup"); err != nil || c.Mode != scaler.ModeRun || c.Version != 0 || c.Pool != "rollup" {
		t.Errorf("before any change: %+v, %v", c, err)
	}
	pull := scaler.Pull{Pool: "rollup", Lever: scaler.LeverPause, By: "anna@host", Reason: "waiting for the new image"}
	_, paused, _, err := scaler.PullLever(t.Context(), a.table, pull)
	if err != nil {
		t.Fatal(err)
	}
	if before, after, changed, err := scaler.PullLever(t.Context(), a.table, pull); err != nil || changed || !cmp.Equal(before, after) || !cmp.Equal(after, paused) {
		t.Errorf("pausing it again: %+v, %t, %v", after, changed, err)
	}
	controls, err := scaler.ReadControls(t.Context(), a.table)
	if diff := cmp.Diff(map[string]scaler.Control{"rollup": paused}, controls); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if changes, err := scaler.ReadChanges(t.Context(), a.table, "deals"); err != nil || len(changes) != 0 {
		t.Errorf("another pool's: %+v, %v", changes, err)
	}
}

func TestALeverIsCheckedBeforeItIsPulled(t *testing.T) {
	t.Parallel()
	below := -1
	for want, pull := range map[string]scaler.Pull{
		`name "No": want lower-case`:          {Pool: "No", Lever: scaler.LeverPause},
		"a cap of -1: want 0 or more":         {Pool: "rollup", Lever: scaler.LeverCap, Cap: &below},
		`there is no lever "push"`:            {Pool: "rollup", Lever: "push"},
		"has more than 1024 characters":       {Pool: "rollup", Lever: scaler.LeverPause, Reason: strings.Repeat("x", 1025)},
		"who asks, has more than 1024 charac": {Pool: "rollup", Lever: scaler.LeverPause, By: strings.Repeat("x", 1025)},
	} {
		if _, _, _, err := scaler.PullLever(t.Context(), nil, pull); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
