package e2e

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// demoSummary is what `spate demo --output json` prints, all of it.
type demoSummary struct {
	Runs []struct {
		Name             string  `json:"name"`
		Jobs             int     `json:"jobs"`
		Executed         int     `json:"executed"`
		Cached           int     `json:"cached"`
		Failed           int     `json:"failed"`
		Seconds          float64 `json:"seconds"`
		SavedJobSeconds  float64 `json:"saved_job_seconds"`
		ChangedDeals     *int    `json:"changed_deals"`
		ExpectedExecuted *int    `json:"expected_executed"`
	} `json:"runs"`
	Workers struct {
		Launched   int `json:"launched"`
		Peak       int `json:"peak"`
		ExitedIdle int `json:"exited_idle"`
		Failed     int `json:"failed"`
	} `json:"workers"`
	Saved struct {
		Jobs             int     `json:"jobs"`
		Estimated        int     `json:"estimated"`
		JobSeconds       float64 `json:"job_seconds"`
		USD              float64 `json:"usd"`
		Provider         string  `json:"provider"`
		WorkerUSDPerHour float64 `json:"worker_usd_per_hour"`
		Prices           string  `json:"prices"`
	} `json:"saved"`
	Portfolio demoFigures `json:"portfolio"`
	Results   string      `json:"results"`
}

type demoFigures struct {
	AAL         float64 `json:"aal"`
	AALSE       float64 `json:"aal_se"`
	OEP250      float64 `json:"oep_250"`
	AEP250      float64 `json:"aep_250"`
	AEPTVaR99   float64 `json:"aep_tvar_99"`
	Perspective string  `json:"perspective"`
	Currency    string  `json:"currency"`
	Periods     int     `json:"periods"`
}

func TestTheDemoShowsFourRunsAndLeavesOnlyResults(t *testing.T) {
	t.Parallel()
	in := emptyInstallation(t)
	results := filepath.Join(in.dir, "results")
	r := in.spate(t, "demo", "--jobs", "40", "--workers", "3", "--output", "json", "--results", results)
	if r.code != 0 {
		t.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	var s demoSummary
	if err := json.Unmarshal([]byte(r.stdout), &s, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("standard output is not the one object of the contract: %v\n%s", err, r.stdout)
	}
	var members map[string]any
	decode(t, r.stdout, &members)
	if got := sorted(members); !cmp.Equal(got, []string{"portfolio", "results", "runs", "saved", "workers"}) {
		t.Errorf("members %v", got)
	}
	if r.stderr == "" {
		t.Error("no progress on standard error")
	}

	var names []string
	for _, run := range s.Runs {
		names = append(names, run.Name)
		if run.Jobs < 40 || run.Jobs != s.Runs[0].Jobs || run.Executed+run.Cached != run.Jobs || run.Failed != 0 || run.Seconds <= 0 {
			t.Errorf("run %+v; want the same 40 jobs or more each time, all executed or cached", run)
		}
		switch run.Name {
		case "first":
			if run.Executed != run.Jobs {
				t.Errorf("first run: %+v, want all executed", run)
			}
		case "unchanged", "next-day":
			if run.Cached != run.Jobs {
				t.Errorf("run %+v, want all cached", run)
			}
		case "changed":
			if run.ChangedDeals == nil || *run.ChangedDeals < 1 || run.ExpectedExecuted == nil || *run.ExpectedExecuted != run.Executed {
				t.Errorf("changed run: %+v, want as many executed as expected", run)
			}
		}
		if run.Name != "changed" && (run.ChangedDeals != nil || run.ExpectedExecuted != nil) {
			t.Errorf("run %s counts changes", run.Name)
		}
	}
	if diff := cmp.Diff([]string{"first", "unchanged", "next-day", "changed"}, names); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	cached, seconds := 0, 0.0
	for _, run := range s.Runs {
		cached += run.Cached
		seconds += run.SavedJobSeconds
		if (run.SavedJobSeconds > 0) != (run.Cached > 0) {
			t.Errorf("run %+v; want seconds saved by cached jobs, and by nothing else", run)
		}
	}
	// Every output is cached with the same seconds in both runs that compute nothing.
	if s.Runs[1].SavedJobSeconds != s.Runs[2].SavedJobSeconds {
		t.Errorf("saved were %v and %v s by the same outputs", s.Runs[1].SavedJobSeconds, s.Runs[2].SavedJobSeconds)
	}
	if v := s.Saved; v.Jobs != cached || v.Estimated != 0 || math.Abs(v.JobSeconds-seconds) > 1e-6 || v.USD <= 0 || math.Abs(v.USD-seconds/3600*v.WorkerUSDPerHour) > 1e-9 || v.Prices == "" {
		t.Errorf("saved: %+v; want %d jobs and %v s at the price of a worker", v, cached, seconds)
	}
	if w := s.Workers; w.Launched < 1 || w.Peak < 1 || w.Peak > 3 || w.Failed != 0 || w.ExitedIdle != w.Launched {
		t.Errorf("workers %+v; want at most 3 at once, all of which left when idle", w)
	}

	// The portfolio's figures are those of the files.
	if s.Results != filepath.Join(results, "portfolio") {
		t.Errorf("results are in %s, want %s", s.Results, filepath.Join(results, "portfolio"))
	}
	var figures demoFigures
	decode(t, read(t, filepath.Join(s.Results, "portfolio.json")), &figures)
	if figures != s.Portfolio || figures.AAL <= 0 || figures.AALSE <= 0 || figures.AEP250 < figures.OEP250 || figures.Periods == 0 || figures.Currency != "USD" {
		t.Errorf("figures %+v, in the file %+v", s.Portfolio, figures)
	}
	if svg := read(t, filepath.Join(s.Results, "portfolio.svg")); !strings.Contains(svg, "<svg") {
		t.Error("portfolio.svg is no picture")
	}
	entries, err := os.ReadDir(in.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "results" && e.Name() != "tmp" && e.Name() != "logs" {
			t.Errorf("%s is left in the current directory", e.Name())
		}
	}
}

func TestCtrlCEndsTheDemoAndEverythingInIt(t *testing.T) {
	t.Parallel()
	for name, moment := range map[string]func(in *installation, p *process) bool{
		"as soon as it says something": func(_ *installation, p *process) bool { return len(p.stderr()) > 0 },
		"while jobs run":               func(in *installation, _ *process) bool { return in.jobProcesses() > 0 },
		"between runs":                 func(_ *installation, p *process) bool { return strings.Contains(string(p.stderr()), "first  ") },
	} {
		t.Run(name, func(t *testing.T) {
			in := emptyInstallation(t)
			p := in.start(t, "demo", "demo", "--jobs", "200", "--workers", "3", "--results", filepath.Join(in.dir, "results"))
			eventually(t, "the demo is at that moment", func() bool {
				p.mustRun(t)
				return moment(in, p)
			})
			p.signal(t, syscall.SIGINT)
			p.wait(t)
			if code := p.cmd.ProcessState.ExitCode(); code != 1 || len(p.stdout()) > 0 {
				t.Errorf("exit code %d, standard output %q; want 1 and nothing", code, p.stdout())
			}
			if text := string(p.stderr()); !strings.HasSuffix(text, "spate: stopped\n") {
				t.Errorf("standard error ends with %q", text[max(0, len(text)-500):])
			}
		})
	}
}

// jobProcesses counts the processes of jobs that run now.
func (in *installation) jobProcesses() int {
	n := 0
	for _, command := range processesOf(in.dir) {
		if !strings.HasPrefix(command, "spate ") && !strings.HasPrefix(command, program) {
			n++
		}
	}
	return n
}
