package cache

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheVerdictIsAWordAndWhatWantsAttention(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	warning := func(c Check) Finding { return Finding{Check: c, Severity: SeverityWarning} }
	for _, row := range []struct {
		name   string
		change func(*Status)
		parked []Parked
		want   Verdict
		wanted []string
	}{
		{"well", func(*Status) {}, nil, VerdictWell, nil},
		{"notes want nothing", func(s *Status) {
			s.Findings = []Finding{{Check: CheckMemory, Severity: SeverityUnread}, {Check: CheckLifecycle, Severity: SeverityRemark}}
		}, nil, VerdictWell, nil},
		{"findings", func(s *Status) {
			s.Findings = []Finding{warning(CheckNotifications), {Check: CheckLifecycle, Severity: SeverityWrong}, warning(CheckNotifications)}
		}, nil, VerdictAttention, []string{"the bucket's notifications", "S3's lifecycle rules"}},
		{"a late updater", func(s *Status) { s.Updater.LagSeconds = 400 }, nil, VerdictAttention, []string{"a ledger 7m behind S3"}},
		{"an updater a little late", func(s *Status) { s.Updater.LagSeconds = 100 }, nil, VerdictWell, nil},
		{"parked of late", func(*Status) {}, []Parked{{At: now.Add(-48 * time.Hour)}, {At: now.Add(-time.Hour)}}, VerdictAttention, []string{"messages of S3 that could not be handled"}},
		{"parked long ago", func(*Status) {}, []Parked{{At: now.Add(-48 * time.Hour)}}, VerdictWell, nil},
		{"a follower that waits", func(s *Status) { s.Follower.Error = "Redis is full" }, nil, VerdictAttention, []string{"changes that do not reach the view: Redis is full"}},
		{"a build beside the live epoch that waits", func(s *Status) { s.Build = BuildStatus{Building: true, Error: "Redis is full"} }, nil, VerdictAttention, []string{"a new epoch that could not be built: Redis is full"}},
		{"a build given up long ago", func(s *Status) { s.Build = BuildStatus{Error: "Redis is full", Ended: now.Add(-3 * time.Hour)} }, nil, VerdictWell, nil},
		{"urgent refreshes", func(s *Status) { s.Refresh.Urgent = 1 }, nil, VerdictAttention, []string{"outputs in use that may expire"}},
		{"behind", func(s *Status) { s.Follower.Behind = true }, nil, VerdictNotAnswering, nil},
		{"Redis is silent", func(s *Status) { s.Follower.RedisSilent, s.Follower.Error = true, "i/o timeout" }, nil, VerdictNotAnswering, nil},
		{"suspect", func(s *Status) { s.State = StateSuspect }, nil, VerdictNotAnswering, nil},
		{"building, and a finding", func(s *Status) { s.State, s.Findings = StateBuilding, []Finding{warning(CheckMemory)} }, nil, VerdictNotAnswering, []string{"Redis's memory"}},
		{"silent", func(s *Status) { s.At = now.Add(-time.Minute) }, nil, VerdictUnknown, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := Status{At: now.Add(-2 * time.Second), State: StateLive, Epoch: 7}
			row.change(&s)
			got, wanted := s.Judge(now, row.parked)
			if diff := cmp.Diff(append([]string{}, row.wanted...), wanted); got != row.want || diff != "" {
				t.Errorf("%s, want %s; attention (-want +got):\n%s", got, row.want, diff)
			}
		})
	}
}

func TestAnIdleCacheIsUpToDate(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		status FollowerStatus
		want   bool
	}{
		"idle":            {FollowerStatus{At: at, LagSeconds: 1.4}, true},
		"has not begun":   {FollowerStatus{}, false},
		"changes wait":    {FollowerStatus{At: at, LagSeconds: 1.4, Waiting: 1}, false},
		"something fails": {FollowerStatus{At: at, LagSeconds: 1.4, Error: "i/o timeout"}, false},
		"reads the past":  {FollowerStatus{At: at, LagSeconds: 40}, false},
	} {
		if got := row.status.UpToDate(); got != row.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestTheViewFallsBehindWhileTheFollowerHangs(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	last := FollowerStatus{At: at, LagSeconds: 2, TrimmedInSeconds: 86_398}
	for since, want := range map[time.Duration]FollowerStatus{
		-time.Second:     last,
		20 * time.Second: {At: at, LagSeconds: 22, TrimmedInSeconds: 86_378},
		59 * time.Second: {At: at, LagSeconds: 61, TrimmedInSeconds: 86_339, Behind: true},
	} {
		if diff := cmp.Diff(want, last.asOf(at.Add(since))); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", since, diff)
		}
	}
	if got := (FollowerStatus{}).asOf(at); got.LagSeconds != 0 {
		t.Errorf("a follower that has not begun is %+v", got)
	}
}

func TestTheStatusSaysThatASilentRedisDoesNotAnswerAndThatItDoesAgain(t *testing.T) {
	inWorld(t, testKeys(0, 3), func(w *world, leader, _ *process) {
		verdict := func() (Verdict, string) {
			s, err := leader.status(w.t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.At = time.Now()
			v, _ := s.Judge(s.At, nil)
			return v, s.Obstacle()
		}
		if v, why := verdict(); v != VerdictWell {
			t.Errorf("before: %s (%s)", v, why)
		}
		w.box.HangRedis(50 * time.Second)
		time.Sleep(45 * time.Second)
		if v, why := verdict(); v != VerdictNotAnswering || why == "" {
			t.Errorf("while Redis is silent: %s (%s)", v, why)
		}
		time.Sleep(2 * time.Minute)
		if v, why := verdict(); v != VerdictWell {
			t.Errorf("afterwards: %s (%s)", v, why)
		}
	})
}
