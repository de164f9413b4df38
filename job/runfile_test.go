package job

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const yamlRun = `# the nightly run
name: nightly-rollup
pool: rollup
owner: risk
labels: {as_of: 2026-11-21, desk: property}
params:
  seed: 7
  when: on
jobs:
  - id: deal-1
    task: price-deal
    inputs: {melt.csv: s3://spate-data/elt-1.csv}
  - {id: root, task: combine, needs: {deal: {job: deal-1, files: [ylt.csv]}}, params: {seed: 8}}
`

const jsonRun = `{"name": "nightly-rollup", "pool": "rollup", "owner": "risk", "labels": {"as_of": "2026-11-21", "desk": "property"},
 "params": {"seed": 7, "when": "on"},
 "jobs": [{"id": "deal-1", "task": "price-deal", "inputs": {"melt.csv": {"url": "s3:\/\/spate-data/elt-1.csv"}}},
  {"id": "root", "task": "combine", "needs": {"deal": {"job": "deal-1", "files": ["ylt.csv"]}}, "params": {"seed": 8}}]}`

func TestARunFileMeansTheSameInYAMLAndJSON(t *testing.T) {
	want := &RunFile{
		Name: "nightly-rollup", Pool: "rollup", Owner: "risk", Labels: map[string]string{"as_of": "2026-11-21", "desk": "property"},
		Params: jsontext.Value(`{"seed":7,"when":"on"}`),
		Jobs: []Spec{
			{ID: "deal-1", Task: "price-deal", Inputs: map[string]Input{"melt.csv": {URL: "s3://spate-data/elt-1.csv"}}},
			{
				ID: "root", Task: "combine", Params: jsontext.Value(`{"seed":8}`),
				Needs: map[string]Need{"deal": {Job: "deal-1", Files: []string{"ylt.csv"}}},
			},
		},
	}
	for name, text := range map[string]string{
		"run.yaml": yamlRun, "run.json": jsonRun, "json-in.yaml": jsonRun, "crlf.yaml": strings.ReplaceAll(yamlRun, "\n", "\r\n"),
		"bom.yaml": "\ufeff" + yamlRun, "bom.json": "\ufeff" + jsonRun, "directive.yaml": "%YAML 1.2\n---\n" + yamlRun + "...\n",
	} {
		got, err := ParseRunFile(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, params := range []*jsontext.Value{&got.Params, &got.Jobs[1].Params} {
			if err := params.Compact(); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(RunFile{}, Spec{})); diff != "" {
			t.Errorf("%s: run file (-want +got):\n%s", name, diff)
		}
	}
}

func TestJobsMayStandElsewhere(t *testing.T) {
	for _, from := range []string{"jobs.jsonl", "../2026-11-21.jsonl", "s3://spate-data/portfolios/2026-11-21.jsonl"} {
		run, err := ParseRunFile("f", []byte("name: n\npool: p\njobs_from: "+from+"\n"))
		if err != nil || run.JobsFrom != from || run.Jobs != nil {
			t.Errorf("%s: %+v, %v", from, run, err)
		}
	}
}

func TestALongRunFileMayBeJSON(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"name":"n","pool":"p","jobs":[`)
	jobs := 0
	for ; b.Len() < 2*MaxYAMLBytes; jobs++ {
		if jobs > 0 {
			b.WriteByte(',')
		}
		b.Write(appendJobLine(nil, jobs))
	}
	b.WriteString("]}")
	run, err := ParseRunFile("run", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Jobs) != jobs || run.Jobs[jobs-1].Line() != jobs {
		t.Errorf("%d jobs, the last on line %d, want %d", len(run.Jobs), run.Jobs[jobs-1].Line(), jobs)
	}
}

func TestParamsOfAJobLieOverThoseOfItsRun(t *testing.T) {
	for _, c := range []struct{ run, job, want string }{
		{"", "", ""},
		{`{"a":1}`, "", `{"a":1}`},
		{"", `{"a":1}`, `{"a":1}`},
		{`{"a":1,"b":2}`, `{"b":3,"c":4}`, `{"a":1,"b":3,"c":4}`},
		{`{"a":{"x":1,"y":2}}`, `{"a":{"x":3}}`, `{"a":{"x":3}}`}, // the top level only
		{`{"a":1}`, `{"a":null}`, `{"a":null}`},
		{`{"b":1e20,"a":-0}`, `{"c": [1.0]}`, `{"a":-0,"b":1e20,"c":[1.0]}`}, // numbers as they were written
	} {
		got, err := MergeParams(jsontext.Value(c.run), jsontext.Value(c.job))
		if err != nil || string(got) != c.want {
			t.Errorf("%s under %s: %s, %v, want %s", c.run, c.job, got, err, c.want)
		}
	}
	if _, err := MergeParams(jsontext.Value(`[1]`), jsontext.Value(`{}`)); err == nil {
		t.Error("a list was merged")
	}
}

func TestAFieldOfARunFileIsFoundAgainForLaterErrors(t *testing.T) {
	run, err := ParseRunFile("f", []byte("name: n\npool:   rollup\njobs_from: jobs.jsonl\n"))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"pool": `f:2:9: no "rollup"`, "jobs_from": `f:3:12: no "rollup"`, "owner": `f: no "rollup"`,
	} {
		if got := run.ErrorAt("f", field, "no %q", run.Pool).Error(); got != want {
			t.Errorf("%s: got %s, want %s", field, got, want)
		}
	}
}

// A record that does not fit into its item could never be written, and the run would be planned again and again.
func TestWhatIsKeptWithARunFitsIntoItsRecord(t *testing.T) {
	for text, want := range map[string]string{
		"owner: " + strings.Repeat("x", MaxTextBytes-8) + "\nlabels: {as_of: abc}": "",
		"labels: {as_of: " + strings.Repeat("x", MaxTextBytes) + "}":               "f:4:9: owner and labels have 16389 bytes together, at most 16384 are kept with a run",
		"owner: " + strings.Repeat("x", MaxTextBytes+1):                            "f:4:8: owner and labels have 16385 bytes together, at most 16384 are kept with a run",
	} {
		_, err := ParseRunFile("f", []byte("name: n\npool: p\njobs_from: jobs.jsonl\n"+text+"\n"))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.20s…: got %q, want %q", text, got, want)
		}
	}
}
