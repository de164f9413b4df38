package reinsurance_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/portfolio"
)

// runAll runs every job of the job list as a worker would: one after the other, each in a directory of its own, its
// needs and inputs staged under their names, knowing nothing but its environment. All outputs are below root.
func runAll(t testing.TB, jobs []byte, root string, elts tables) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(jobs))
	for decoder.More() {
		var job struct {
			ID     string                    `json:"id"`
			Task   string                    `json:"task"`
			Params json.RawMessage           `json:"params"`
			Inputs map[string]string         `json:"inputs"`
			Needs  map[string]portfolio.Need `json:"needs"`
			Labels map[string]string         `json:"labels"`
		}
		if err := decoder.Decode(&job); err != nil {
			t.Fatalf("job list: %v", err)
		}
		work := filepath.Join(root, job.ID)
		in := filepath.Join(work, "in")
		if err := os.MkdirAll(in, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, need := range job.Needs {
			if err := os.Mkdir(filepath.Join(in, name), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, file := range need.Files {
				if err := os.Link(filepath.Join(root, need.Job, "out", file), filepath.Join(in, name, file)); err != nil {
					t.Fatalf("job %s comes before a job that it needs: %v", job.ID, err)
				}
			}
		}
		for name, address := range job.Inputs {
			if err := os.WriteFile(filepath.Join(in, name), model.WriteMelt(elts[address]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		params := filepath.Join(work, "params.json")
		if err := os.WriteFile(params, job.Params, 0o600); err != nil {
			t.Fatal(err)
		}
		environment := map[string]string{
			"TASK_NAME": job.Task, "SPATE_PARAMS": params, "SPATE_INPUT_DIR": in, "SPATE_OUTPUT_DIR": filepath.Join(work, "out"),
		}
		var stderr bytes.Buffer
		if code := model.Main(t.Context(), nil, func(name string) string { return environment[name] }, &stderr); code != 0 {
			t.Fatalf("job %s ends with exit code %d: %s", job.ID, code, &stderr)
		}
	}
}

func read(t testing.TB, elements ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// compare checks what the root wrote against one plain loop.
func compare(t testing.TB, root string, p portfolio.Portfolio, elts tables) model.Portfolio {
	t.Helper()
	want := plainLoop(t, p, elts)
	document, err := json.MarshalIndent(want.figures, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, root, portfolio.PortfolioJob, "out", model.PortfolioJSON); !bytes.Equal(bytes.TrimSpace(got), document) {
		t.Errorf("portfolio.json is\n%s\nbut one loop over all deals gives\n%s", got, document)
	}
	got := read(t, root, portfolio.PortfolioJob, "out", model.SPLTFile)
	if diff := cmp.Diff(want.splt, strings.Split(string(got), "\n")[1:]); diff != "" {
		t.Errorf("splt.csv differs from one loop over all deals:\n%s", diff)
	}
	return want.figures
}

func jobLines(t testing.TB, p portfolio.Portfolio) []byte {
	t.Helper()
	var jobs bytes.Buffer
	if err := p.WriteJSONL(&jobs); err != nil {
		t.Fatal(err)
	}
	return jobs.Bytes()
}

func TestTheRollupEqualsOnePlainLoopOverAllDeals(t *testing.T) {
	p, err := portfolio.Generate(portfolio.Options{Deals: 120, Seed: 5, Periods: 2000, Nominal: 1200}) // two combining levels
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	runAll(t, jobLines(t, p), root, nil)
	got := compare(t, root, p, nil)
	if got.AAL <= 0 || got.OEP250 <= 0 || got.OEP250 > got.AEP250 || got.Ceded.AAL <= 0 || got.Ceded.ReinstatementPremium <= 0 {
		t.Errorf("the portfolio does not lose money plausibly: %+v", got)
	}
	if d := got.Gross.AAL - got.Ceded.AAL - got.Net.AAL; math.Abs(d) > 0.02 {
		t.Errorf("gross %v − ceded %v ≠ net %v", got.Gross.AAL, got.Ceded.AAL, got.Net.AAL)
	}
}

func TestAnySmallPortfolioEqualsOnePlainLoop(t *testing.T) {
	dir, runs := t.TempDir(), 0
	met := map[string]bool{}
	rapid.Check(t, func(rt *rapid.T) {
		p, err := portfolio.Generate(portfolio.Options{
			Deals:   rapid.IntRange(1, 12).Draw(rt, "deals"),
			Seed:    rapid.Uint64().Draw(rt, "seed"),
			Periods: rapid.IntRange(250, 300).Draw(rt, "periods"),
			Nominal: rapid.SampledFrom([]int{1, 40, 700}).Draw(rt, "nominal"),
		})
		if err != nil {
			rt.Fatal(err)
		}
		var elts tables
		if rapid.IntRange(0, 3).Draw(rt, "drawn") > 0 {
			p, elts = drawn(rt, p)
		}
		runs++
		root := filepath.Join(dir, strconv.Itoa(runs))
		runAll(t, jobLines(t, p), root, elts)
		for _, kind := range kindsOf(p, compare(t, root, p, elts)) {
			met[kind] = true
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
	const kinds = 16
	if !testing.Short() && !t.Failed() && len(met) != kinds { // a short test draws few portfolios
		t.Errorf("met %d kinds of %d: %v", len(met), kinds, slices.Sorted(maps.Keys(met)))
	}
}

func TestTheSameInputsGiveTheSameBytes(t *testing.T) {
	p, err := portfolio.Generate(portfolio.Options{Deals: 40, Seed: 9, Periods: 500})
	if err != nil {
		t.Fatal(err)
	}
	once, again := t.TempDir(), t.TempDir()
	runAll(t, jobLines(t, p), once, nil)
	runAll(t, jobLines(t, p.Relabel(map[string]string{"as_of": "another day"})), again, nil)
	files := 0
	for _, job := range p.Jobs() {
		entries, err := os.ReadDir(filepath.Join(once, job.ID, "out"))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			files++
			if !bytes.Equal(read(t, once, job.ID, "out", entry.Name()), read(t, again, job.ID, "out", entry.Name())) {
				t.Errorf("%s of job %s differs between two runs", entry.Name(), job.ID)
			}
		}
	}
	if want := 2*4 + 1 + 2*40 + 2 + 6; files != want {
		t.Errorf("%d output files, want %d", files, want)
	}
}
