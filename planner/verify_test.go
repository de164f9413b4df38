package planner

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/job"
)

func TestHowManyHitsAreVerified(t *testing.T) {
	for _, row := range []struct {
		hits  int
		share float64
		want  int
	}{
		{0, 0.01, 0},
		{5, 0.01, 5},
		{100, 0.01, 10},
		{5000, 0.01, 50},
		{5001, 0.01, 51},
		{1_000_000, 0.01, 1000},
		{1_000_000, 0, 0},
		{1_000_000, 1, 1_000_000},
		{3, 1, 3},
		{2000, 0.999, 1000},
	} {
		if got := hitsToVerify(row.hits, row.share); got != row.want {
			t.Errorf("%v of %d hits: %d, want %d", row.share, row.hits, got, row.want)
		}
	}
}

// twice runs the same jobs twice, with a planner that verifies a share of the hits; between the runs some outputs are lost,
// of which the cache goes on to tell.
func (w *world) twice(jobs string, share float64, lost func(ids []string) []string) (second *Run, verified func(when, answer string) int) {
	w.t.Helper()
	registry := prometheus.NewRegistry()
	w.background(w.worker.run)
	o := w.options(1, nil)
	o.VerifyHits, o.Registerer = share, registry
	p, _ := w.startPlanner(o)
	w.submit("first", jobs)
	w.await("first")
	keys := w.keys("first")
	ids := make([]string, 0, len(keys))
	for id := range keys {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	time.Sleep(2 * recentFor) // until the planner itself does not remember them
	for _, id := range lost(ids) {
		w.outputs.claim(keys[id])
		if err := w.bucket.Delete(w.t.Context(), job.ManifestPath(keys[id]), objects.Condition{}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.submit("second", jobs)
	return w.await("second"), func(when, answer string) int {
		return p.verifiedHits(w.t, when, answer)
	}
}

// verifiedHits reads the metric.
func (p *Planner) verifiedHits(t testing.TB, when, answer string) int {
	t.Helper()
	var m dto.Metric
	if err := p.metrics.verified.WithLabelValues(when, answer).Write(&m); err != nil {
		t.Fatal(err)
	}
	return int(m.GetCounter().GetValue())
}

func TestAWrongHitIsFoundBeforeTheRunRestsOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, verified := w.twice(portfolio, 1, func([]string) []string { return []string{"north"} })
		if diff := cmp.Diff(Progress{Jobs: 6, Cached: 5, Done: 1, Executed: 1}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		for _, row := range []struct {
			when, answer string
			want         int
		}{
			{verifiedAtIntake, answerRight, 5},
			{verifiedAtIntake, answerWrong, 1},
			{verifiedAtIntake, answerUnknown, 0},
			{verifiedAtClose, answerRight, 5},
			{verifiedAtClose, answerWrong, 0},
		} {
			if got := verified(row.when, row.answer); got != row.want {
				t.Errorf("%s %s: %d, want %d", row.when, row.answer, got, row.want)
			}
		}
		if !slices.Equal(w.outputs.forgot, []job.Key{w.keys("first")["north"]}) {
			t.Errorf("the cache was told to forget %v", w.outputs.forgot)
		}
	})
}

// deals are so many jobs that do not depend on one another.
func deals(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "deal-%02d\n", i)
	}
	return b.String()
}

func TestOneWrongHitOfASampleHasAllOfThemVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		// Of 40 hits 31 are wrong: at least one of a sample of ten is.
		r, verified := w.twice(deals(40), 0.01, func(ids []string) []string { return ids[:31] })
		if diff := cmp.Diff(Progress{Jobs: 40, Cached: 9, Done: 31, Executed: 31}, r.Progress); diff != "" || r.State != job.RunSucceeded {
			t.Errorf("%s: %s", r.State, diff)
		}
		if right, wrong := verified(verifiedAtIntake, answerRight), verified(verifiedAtIntake, answerWrong); right != 9 || wrong != 31 {
			t.Errorf("%d hits were right and %d wrong, want 9 and 31", right, wrong)
		}
		if n := verified(verifiedAtClose, answerWrong); n != 0 {
			t.Errorf("%d wrong hits were left to the run's end", n)
		}
	})
}

func TestASampleThatIsRightLeavesTheRestToTheRunsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, verified := w.twice(deals(40), 0.01, func([]string) []string { return nil })
		if atIntake, atClose := verified(verifiedAtIntake, answerRight), verified(verifiedAtClose, answerRight); atIntake != verifyLeast || atClose != 40 {
			t.Errorf("%d hits were verified at intake and %d in the end, want %d and 40", atIntake, atClose, verifyLeast)
		}
		used := slices.Clone(w.outputs.used)
		if len(used) != 40 {
			t.Errorf("the cache was told of %d outputs in use, want the second run's 40", len(used))
		}
	})
}

// headless makes S3 refuse to tell of outputs, while it is on.
type headless struct {
	transport
	on      atomic.Bool
	refused atomic.Int64
}

func (h *headless) Do(r *http.Request) (*http.Response, error) {
	if h.on.Load() && r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/outputs/") {
		h.refused.Add(1)
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	return h.transport.Do(r)
}

func TestARunDoesNotWaitForS3ToVerifyItsHits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s3 := &headless{transport: transport{w.handler, nil}}
		w.background(w.worker.run)
		o := w.options(1, nil)
		o.VerifyHits = 1
		o.Objects = objects.New(awsclient.FromConfig(aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: s3,
			Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
		}).S3, testBucket)
		p, _ := w.startPlanner(o)
		w.submit("first", deals(100))
		w.await("first")
		s3.on.Store(true)
		w.submit("second", deals(100)+"\nmore: deal-01")
		w.awaitState("second", func(s job.RunState) bool { return s == job.RunActive })
		for len(w.worker.received()) < 101 { // the new job runs
			time.Sleep(time.Second)
		}
		if n := p.verifiedHits(t, verifiedAtIntake, answerUnknown); n != 100 {
			t.Errorf("%d hits count as unknown, want 100", n)
		}
		if n := s3.refused.Load(); n > verifyFailures+headLookups {
			t.Errorf("S3 was asked %d times although it failed", n)
		}
		s3.on.Store(false) // the run's end cannot do without
		if r := w.await("second"); r.State != job.RunSucceeded || r.Progress.Cached != 100 || r.Progress.Executed != 1 {
			t.Errorf("%s: %+v", r.State, r.Progress)
		}
	})
}
