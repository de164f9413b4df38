package job

import (
	"testing"
	"time"
)

func TestEveryStateHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{"": true, "invalid": true}
	for i, s := range States() {
		if int(s) != i {
			t.Errorf("%s stands at %d", s, i)
		}
		if seen[s.String()] {
			t.Errorf("state %d is called %q", i, s)
		}
		seen[s.String()] = true
	}
	if next := State(len(States())); next.String() != "invalid" {
		t.Errorf("States does not list %s", next)
	}
}

func TestWhichStatesHaveAnOutputAndWhichAreSettled(t *testing.T) {
	for s, want := range map[State]struct{ output, settled bool }{
		Pending: {}, Waiting: {}, Ready: {}, Shared: {}, Queued: {},
		Cached: {true, true}, Done: {true, true}, Failed: {false, true}, Blocked: {false, true},
	} {
		if s.HasOutput() != want.output || s.Settled() != want.settled {
			t.Errorf("%s: has output %t, settled %t, want %+v", s, s.HasOutput(), s.Settled(), want)
		}
	}
	for s, want := range map[RunState]bool{
		RunReceived: false, RunPlanning: false, RunActive: false, RunRejected: true, RunSucceeded: true, RunFailed: true,
	} {
		if s.Ended() != want {
			t.Errorf("run %s: ended %t, want %t", s, s.Ended(), want)
		}
	}
}

func TestWhatNobodyLookedAtIsUnknown(t *testing.T) {
	var p Presence
	if p != Unknown || p.String() != "unknown" || Miss.String() != "miss" || Hit.String() != "hit" || Presence(9).String() != "invalid" {
		t.Errorf("the zero Presence is %s", p)
	}
}

func TestDurationsAreText(t *testing.T) {
	d := Duration(90 * time.Minute)
	text, err := d.MarshalText()
	if err != nil || string(text) != "1h30m0s" {
		t.Errorf("got %s, %v", text, err)
	}
	var again Duration
	if err := again.UnmarshalText(text); err != nil || again != d {
		t.Errorf("got %s, %v", time.Duration(again), err)
	}
	if err := again.UnmarshalText([]byte("soon")); err == nil {
		t.Error("soon was read")
	}
}

func TestOnlyListedExitCodesArePermanent(t *testing.T) {
	task := TaskType{PermanentExitCodes: []int{65, 70}}
	for code, want := range map[int]bool{0: false, 1: false, 65: true, 70: true, 137: false} {
		if task.IsPermanent(code) != want {
			t.Errorf("exit code %d: permanent %t, want %t", code, !want, want)
		}
	}
}

func TestAStateIsReadAsItIsWritten(t *testing.T) {
	for _, state := range States() {
		if got, err := ParseState(state.String()); err != nil || got != state {
			t.Errorf("%s: got %s, %v", state, got, err)
		}
	}
	if _, err := ParseState("asleep"); err == nil {
		t.Error("asleep was read")
	}
}
