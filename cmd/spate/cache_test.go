package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"spate/cache"
	"spate/job"
	"spate/planner/report"
)

// someCache is the cache of a good night.
func someCache() cache.Status {
	return cache.Status{
		At: noon.Add(-2 * time.Second), Since: noon.Add(-3 * time.Hour), State: cache.StateLive, Epoch: 7,
		View: cache.ViewStatus{
			Epoch: 7, BucketBits: 16, Outputs: 10_412_377, Bytes: 95_400_000, RedisVersion: "7.2.4", UsedBytes: 121_000_000, MaxBytes: 512 << 20,
		},
		Build:    cache.BuildStatus{Epoch: 7, Scanned: 10_400_000, Share: 1, Began: noon.Add(-3 * time.Hour), Ended: noon.Add(-3*time.Hour + 41*time.Second)},
		Follower: cache.FollowerStatus{At: noon.Add(-2 * time.Second), LagSeconds: .8, Shards: 12, Added: 12_377, Removed: 41, Changed: noon.Add(-3 * time.Second)},
		Updater:  cache.UpdaterStatus{LagSeconds: 1.3, Handled: 12_400, Foreign: 3, WritesPerSecond: 2000, WritesLimit: 2000},
		Reconcile: cache.ReconcileStatus{
			PassBegan: noon.Add(-8 * time.Minute), PassEnded: noon.Add(-9 * time.Minute), Scanned: 4_000_000, Passes: 17, ListEnded: noon.Add(-40 * time.Minute),
			Sampled: 10_400, Missing: 1, Failed: 7, Found: cache.Differences{ViewLacks: 2, LedgerExtra: 1},
		},
		Refresh:  cache.RefreshStatus{Refreshed: 812, Waiting: 40, Urgent: 1, ObjectsPerSecond: 100, LastAt: noon.Add(-time.Second)},
		Findings: []cache.Finding{}, Checked: noon.Add(-20 * time.Minute),
	}
}

func someHits() *report.HitRatios {
	return &report.HitRatios{
		All: report.Hits{Jobs: 7164, Hits: 6210},
		Runs: []report.RunHits{
			{Run: report.RunRef{ID: "nightly-42"}, Hits: report.Hits{Jobs: 7152, Hits: 6210}}, {Run: report.RunRef{ID: "deals-7"}, Hits: report.Hits{Jobs: 12}}, {Run: report.RunRef{ID: "new"}},
		},
		Tasks: []report.TaskHits{{Task: "price-deal", Hits: report.Hits{Jobs: 7000, Hits: 6100}}, {Task: "combine", Hits: report.Hits{Jobs: 164, Hits: 110}}},
	}
}

// statsOf is what a cache's status is shown as.
func statsOf(s cache.Status, hits *report.HitRatios, parked ...cache.Parked) cacheStatsView {
	v := cacheStatsView{Status: &s, Silent: isSilent(noon, s, true), Hits: hits, Parked: parked}
	v.Verdict, v.Attention = s.Judge(noon, parked)
	return v
}

// cacheTexts is what spate cache prints, by the name of its golden file.
func cacheTexts() map[string]func(w page) error {
	return map[string]func(w page) error{
		"cache-stats": func(w page) error {
			return printCacheStats(w, noon, statsOf(someCache(), someHits()))
		},
		"cache-stats-idle": func(w page) error {
			s := someCache()
			s.Follower, s.Updater = cache.FollowerStatus{At: noon.Add(-2 * time.Second), LagSeconds: 1.1, Shards: 1}, cache.UpdaterStatus{WritesPerSecond: 2000, WritesLimit: 2000}
			s.Refresh = cache.RefreshStatus{ObjectsPerSecond: 100}
			s.View.Outputs, s.View.Bytes = 1, 0
			s.Findings = []cache.Finding{{Check: cache.CheckMemory, Severity: cache.SeverityUnread, Text: "Redis's memory could not be read: it does not tell.", Fix: "It needs 12 MiB."}}
			return printCacheStats(w, noon, statsOf(s, someHits()))
		},
		"cache-stats-attention": func(w page) error {
			s := someCache()
			s.Follower.Changed, s.Updater.LagSeconds, s.Updater.LastHandled = noon.Add(-3*time.Minute), 0, noon.Add(-4*time.Minute)
			s.Updater.Failed = 12
			s.Findings = []cache.Finding{{Check: cache.CheckEviction, Severity: cache.SeverityWarning, Text: "Redis's maxmemory-policy is allkeys-lru.", Fix: "Set it to noeviction."}}
			return printCacheStats(w, noon, statsOf(s, &report.HitRatios{}, cache.Parked{At: noon.Add(-3 * time.Hour), ReceiveCount: 3, Reason: "parse notification"}))
		},
		"cache-stats-untold": func(w page) error { // S3 sends no notifications
			s := someCache()
			s.Updater = cache.UpdaterStatus{WritesPerSecond: 2000, WritesLimit: 2000}
			s.Findings = []cache.Finding{{Check: cache.CheckNotifications, Severity: cache.SeverityWarning, Text: "Queue q is not told of all new outputs.", Fix: "Have it told."}}
			w.paragraph("", cacheLine(s))
			return printCacheStats(w, noon, statsOf(s, &report.HitRatios{}))
		},
		"cache-stats-bad": func(w page) error {
			s := someCache()
			s.State, s.Epoch, s.Building, s.View = cache.StateBuilding, 0, 8, cache.ViewStatus{}
			s.Build = cache.BuildStatus{Building: true, Epoch: 8, Scanned: 4_100_000, Total: 10_400_000, Share: .39, Began: noon.Add(-20 * time.Second), Error: "no answer from Redis"}
			s.Follower = cache.FollowerStatus{At: noon, LagSeconds: 400, Behind: true, TrimmedInSeconds: 86_000, Shards: 1, Waiting: 77, Error: "no answer from Redis"}
			s.Updater.WritesPerSecond, s.Updater.Parked, s.Updater.Failed = 310, 2, 9
			s.Reconcile = cache.ReconcileStatus{}
			s.Refresh = cache.RefreshStatus{}
			s.Findings = []cache.Finding{
				{Check: cache.CheckLifecycle, Severity: cache.SeverityWrong, Text: `Lifecycle rule "r" of bucket spate-data removes outputs after 7 days; the cache says for 30 days that they are there.`, Fix: "Set its days to 34 or more."},
				{Check: cache.CheckMemory, Severity: cache.SeverityUnread, Text: "Redis's memory could not be read: NOPERM."},
			}
			return printCacheStats(w, noon, statsOf(s, &report.HitRatios{}, cache.Parked{At: noon.Add(-3 * time.Hour), ReceiveCount: 3, Reason: "parse notification: neither S3's nor SNS's nor EventBridge's"}))
		},
		"cache-stats-silent": func(w page) error {
			s := someCache()
			s.At = noon.Add(-5 * time.Minute)
			return printCacheStats(w, noon, statsOf(s, &report.HitRatios{}))
		},
		"cache-stats-new": func(w page) error {
			return printCacheStats(w, noon, cacheStatsView{Silent: true, Hits: &report.HitRatios{}})
		},
		"cache-lines": func(w page) error {
			s := someCache()
			w.paragraph("", cacheLine(s))
			s.Build.Building, s.Build.Share, s.Findings = true, .4, []cache.Finding{{Severity: cache.SeverityWrong}}
			w.paragraph("", cacheLine(s))
			s.Follower.Behind = true
			w.paragraph("", cacheLine(s))
			s.State = cache.StateSuspect
			w.paragraph("", cacheLine(s))
			s.State, s.Follower.Error = cache.StateBuilding, "Redis does not answer"
			w.paragraph("", cacheLine(s))
			return nil
		},
		"cache-verify": func(w page) error {
			v := cache.Verification{
				Outputs: 1000, Listed: 1000, ViewAsked: true, Passing: 1,
				Counts: map[cache.Disagreement]int64{cache.WrongHit: 1, cache.LateExpiry: 2, cache.NotInLedger: 3, cache.NotInView: 12},
			}
			for i := range 18 {
				kind := cache.NotInView
				if i == 0 {
					kind = cache.WrongHit
				}
				v.Examples = append(v.Examples, cache.Example{Key: job.Key{byte(i)}, Disagree: kind, View: "miss", Ledger: "hit", S3: "hit", Run: "nightly-42"})
			}
			return printVerification(w, 4100*time.Millisecond, v, false)
		},
		"cache-verify-same": func(w page) error {
			return printVerification(w, 100*time.Millisecond, cache.Verification{Outputs: 1}, true)
		},
		"cache-verify-all": func(w page) error {
			return printVerification(w, 100*time.Millisecond, cache.Verification{Outputs: 3, Listed: 3, ViewAsked: true}, false)
		},
		"cache-verify-no-redis": func(w page) error {
			return printVerification(w, time.Minute, cache.Verification{Outputs: 12_000, ViewUntil: 1500, ViewError: "ask view: dial tcp 10.0.0.7:6379: i/o timeout"}, false)
		},
		"cache-verify-lost": func(w page) error {
			return printVerification(w, time.Hour, cache.Verification{
				Outputs: 1, Listed: 10_000_000, ViewAsked: true, Counts: map[cache.Disagreement]int64{cache.NotInLedger: 1_000_000}, Beyond: 8_999_999,
				Examples: []cache.Example{{Key: job.Key{7}, Disagree: cache.NotInLedger, View: "hit", Ledger: "miss", S3: "hit"}},
			}, false)
		},
		"cache-rebuild-s3": func(w page) error {
			printLedgerRebuild(w, noon, 3*time.Minute, cache.LedgerRebuild{Objects: 30_412, Outputs: 10_000, Written: 12, Unread: 1, UnreadKeys: []job.Key{{7}}, Gone: 1})
			return nil
		},
		"cache-rebuild-s3-resumed": func(w page) error {
			printLedgerRebuild(w, noon, time.Minute, cache.LedgerRebuild{Resumed: true, Began: noon.Add(-time.Hour), Objects: 412, Outputs: 100, Unread: 103, UnreadKeys: []job.Key{{7}, {8}}})
			return nil
		},
		"cache-forget": func(w page) error {
			printForgotten(w, cacheForgetView{Silent: true, Outputs: []forgottenView{{Name: "a/c"}}})
			printForgotten(w, cacheForgetView{Outputs: []forgottenView{{Name: "a/b", WasThere: true}, {Name: "a/c"}, {Name: "a/d", WasThere: true, MadeAnew: true}}})
			return nil
		},
	}
}

func TestWhyAnOutputIsNotCachedIsSaidAsFarAsItCanBeKnown(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	item := &cache.Output{CreatedAt: noon.Add(-31 * day), ExpiresAt: noon.Add(-day)}
	for _, row := range []struct {
		name      string
		told      cache.Testimony
		leftovers cache.Leftovers
		forgotten []cache.Forgotten
		want      string // "": nothing is said
	}{
		{"there", cache.Testimony{View: job.Hit, Ledger: job.Hit, S3: job.Hit, Item: &cache.Output{ExpiresAt: noon}, Made: noon}, cache.Leftovers{}, nil, ""},
		{"wrong hit", cache.Testimony{View: job.Hit, Ledger: job.Miss, S3: job.Miss}, cache.Leftovers{}, nil, "and yet the view says it is there"},
		{"wrong hit of both", cache.Testimony{View: job.Hit, Ledger: job.Hit, S3: job.Miss}, cache.Leftovers{}, nil, "and yet view and ledger say it is there"},
		{
			"taken back, and still in the view",
			cache.Testimony{View: job.Hit, Ledger: job.Miss, S3: job.Miss},
			cache.Leftovers{},
			[]cache.Forgotten{{By: "kim@desk", At: noon.Add(-time.Second)}},
			"kim@desk took it back 1s ago. S3 and the ledger do not have it any more; the view follows",
		},
		{"not in the ledger", cache.Testimony{View: job.Miss, Ledger: job.Miss, S3: job.Hit, Made: noon}, cache.Leftovers{}, nil, "S3 has it and the ledger does not"},
		{"not in the view", cache.Testimony{View: job.Miss, Ledger: job.Hit, S3: job.Hit, Made: noon, Item: item}, cache.Leftovers{}, nil, "S3 and the ledger have it and the view does not"},
		{"expired in S3", cache.Testimony{Ledger: job.Miss, S3: job.Miss, Made: noon.Add(-30*day - time.Hour)}, cache.Leftovers{}, nil, "expired 60m ago, after 30 days. Its files are still in S3"},
		{"expired in the ledger", cache.Testimony{Ledger: job.Miss, S3: job.Miss, Item: item}, cache.Leftovers{}, nil, "expired 24h ago; S3 has removed it"},
		{"taken back", cache.Testimony{Ledger: job.Miss, S3: job.Miss}, cache.Leftovers{Files: 2}, []cache.Forgotten{{By: "kim@desk", At: noon.Add(-time.Hour), Reason: "wrong terms"}}, "kim@desk took it back 60m ago: wrong terms."},
		{"files only", cache.Testimony{Ledger: job.Miss, S3: job.Miss}, cache.Leftovers{Files: 2, Newest: noon}, nil, "no manifest, but 2 files of an attempt"},
		{"no trace", cache.Testimony{Ledger: job.Miss, S3: job.Miss}, cache.Leftovers{}, nil, "There is no trace of it"},
		{"S3 does not tell", cache.Testimony{Ledger: job.Miss}, cache.Leftovers{}, nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := notCached(noon, 30*day, row.told, traces{row.leftovers, row.forgotten, &report.Explanation{}})
			if row.want == "" && len(got) > 0 || row.want != "" && !strings.Contains(strings.Join(got, " "), row.want) {
				t.Errorf("said %q, want %q", got, row.want)
			}
		})
	}
}

func TestAnOutputThatARunIsKnownToHaveHadIsNotSaidToHaveNoTrace(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, row := range map[string]struct {
		run  *report.RunRef
		e    report.Explanation
		want string
	}{
		"made":             {&report.RunRef{ID: "q2", Received: noon.Add(-3 * time.Minute)}, report.Explanation{State: job.Done.String(), Seconds: 2}, "Run q2, submitted 3m ago, made it. It would not have expired yet"},
		"made long ago":    {&report.RunRef{ID: "q2", Received: noon.Add(-40 * day)}, report.Explanation{State: job.Done.String(), Seconds: 2}, "had it. It has expired since, or was deleted"},
		"found":            {&report.RunRef{ID: "q2", Received: noon.Add(-3 * time.Minute)}, report.Explanation{State: job.Cached.String()}, "had it. It has expired since, or was deleted"},
		"failed":           {&report.RunRef{ID: "q2", Received: noon}, report.Explanation{State: job.Failed.String()}, "There is no trace of it"},
		"of no known run":  {nil, report.Explanation{}, "There is no trace of it"},
		"another stood in": {&report.RunRef{ID: "q2", Received: noon}, report.Explanation{State: job.Done.String(), Substituted: &job.Substitute{}}, "There is no trace of it"},
	} {
		row.e.Run = row.run
		got := strings.Join(notCached(noon, 30*day, cache.Testimony{Ledger: job.Miss, S3: job.Miss}, traces{known: &row.e}), " ")
		if !strings.Contains(got, row.want) {
			t.Errorf("%s: said %q, want %q", name, got, row.want)
		}
	}
}

func TestForgettingAsksAboutWhatIsThere(t *testing.T) {
	t.Parallel()
	told := []cache.Testimony{{S3: job.Hit}, {S3: job.Hit}, {S3: job.Miss}}
	for n, want := range map[int]string{
		1: "Forget 1 output (a)? 1 is in S3; its job runs again when it is needed.",
		3: "Forget 3 outputs (a, b, c)? 2 are in S3; their jobs run again when they are needed.",
	} {
		if got := (&cacheForgetCommand{}).question([]string{"a", "b", "c"}[:n], told[:n]); got != want {
			t.Errorf("asked %q, want %q", got, want)
		}
	}
}

func TestARebuildThatDoesNotGoOnSaysWhy(t *testing.T) {
	t.Parallel()
	fresh, old := cache.RebuildRequest{At: noon.Add(-time.Second)}, cache.RebuildRequest{At: noon.Add(-time.Minute)}
	broken := cache.Status{At: noon, Follower: cache.FollowerStatus{Error: "no answer from Redis"}}
	for _, row := range []struct {
		request cache.RebuildRequest
		status  cache.Status
		want    string
	}{
		{fresh, cache.Status{}, ""},
		{fresh, broken, ""},
		{old, cache.Status{}, "no controller reports on the cache; is `spate serve` running?"},
		{old, broken, "no answer from Redis"},
		{old, cache.Status{At: noon, Build: cache.BuildStatus{Building: true, Error: "Redis is full"}}, "Redis is full"},
		{old, cache.Status{At: noon, Build: cache.BuildStatus{Error: "of an earlier one"}}, ""},
	} {
		if got := waitsFor(noon, row.request, row.status); got != row.want {
			t.Errorf("%+v waits for %q, want %q", row.status, got, row.want)
		}
	}
}

func TestWhoeverStopsWatchingARebuildIsToldWhatBecomesOfIt(t *testing.T) {
	t.Parallel()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, row := range []struct {
		name  string
		ctx   context.Context
		err   error
		begun bool
		want  string
	}{
		{"under way", stopped, context.Canceled, true, "stopped watching; the rebuild goes on"},
		{"not begun", stopped, context.Canceled, false, "stopped watching; the request stays"},
		{"nobody there", t.Context(), cache.ErrSilent, false, "the request stays, and is dealt with when one does"},
		{"another request", t.Context(), cache.ErrReplaced, true, "the same new view answers both"},
	} {
		if err := notRebuilt(row.ctx, row.err, row.begun); !strings.Contains(err.Error(), row.want) || !errors.Is(err, row.err) {
			t.Errorf("%s: %q, want …%s…", row.name, err, row.want)
		}
	}
}

func TestNumbersAndMemoryAreWrittenForPeople(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 12: "12", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 512 << 20: "512 MiB", 5 << 40: "5.0 TiB"} {
		if got := memory(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{30 * 24 * time.Hour: "30 days", 47 * time.Hour: "47h", 61 * time.Minute: "1h1m", time.Minute: "1m"} {
		if got := left(d); got != want {
			t.Errorf("%s is left as %s, want %s", d, got, want)
		}
	}
	if run, name := splitJob("a/b"); run != "a" || name != "b" {
		t.Errorf("a/b is run %s, job %s", run, name)
	}
}
