package job

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files and the key vectors")

// writtenBadFiles are files that an editor or git would not leave as they are.
func writtenBadFiles() map[string]string {
	const head = "name: nightly\npool: rollup\n"
	longCycle := &strings.Builder{}
	for i := range 30 {
		fmt.Fprintf(longCycle, `{"id":"job-%d","task":"combine","needs":{"x":"job-%d"}}`+"\n", i, (i+1)%30)
	}
	return map[string]string{
		"crlf.yaml":           strings.ReplaceAll(head+"jobs:\n  - id: deal-1\n    taks: price-deal\n", "\n", "\r\n"),
		"crlf.jsonl":          "{\"id\":\"deal-1\",\"task\":\"price-deal\"}\r\n\r\n{\"id\":\"deal-1\",\"task\":7}\r\n",
		"cr-at-the-end.jsonl": "{\"id\":\"deal-1\"}\r",
		"bom.yaml":            "\ufeffname: 7\npool: rollup\njobs_from: jobs.jsonl\n",
		"bom.json":            "\ufeff{\"name\": 7, \"pool\": \"rollup\", \"jobs_from\": \"jobs.jsonl\"}",
		"bom.jsonl":           "\ufeff{\"id\":7,\"task\":\"price-deal\"}\n",
		"invalid-utf8.yaml":   head + "owner: M\xfcller\njobs_from: jobs.jsonl\n",
		"invalid-utf8.json":   "{\"name\": \"nightly\",\n \"owner\": \"M\xfcller\"}",
		"invalid-utf8.jsonl":  "{\"id\":\"deal-1\",\"task\":\"price-deal\",\"labels\":{\"who\":\"M\xfcller\"}}\n{\"id\":\"deal-2\"}\n",
		"utf16.yaml":          "\xff\xfen\x00a\x00m\x00e\x00",
		"long-cycle.jsonl":    longCycle.String(),
		"long-line.jsonl": `{"id":"deal-1","task":"price-deal","params":{"a":"` + strings.Repeat("x", MaxLineBytes) + `"}}` + "\n" +
			`{"id":"deal-2"}` + "\n" + strings.Repeat(" ", MaxLineBytes+1) + `{"id":"deal-3"}` + "\n" +
			`{"id":"deal-4","task":"price-deal"}`,
		"long-text.yaml": "name: " + strings.Repeat("n", 1000) + "\npool: rollup\njobs_from: jobs.jsonl\n",
		"too-deep.yaml":  head + "jobs_from: jobs.jsonl\nparams: {a: " + strings.Repeat("[", 101) + strings.Repeat("]", 101) + "}\n",
		"too-big.yaml":   head + "jobs_from: jobs.jsonl\n" + strings.Repeat("# \n", MaxYAMLBytes/3),
		"too-many.jsonl": strings.Repeat("{}\n", MaxErrors/2+1),
	}
}

// nothingNegative stands for a schema of params.
type nothingNegative struct{}

func (nothingNegative) CheckParams(params jsontext.Value) error {
	var wrong []error
	for _, name := range []string{"layers", "limit"} {
		if strings.Contains(string(params), `"`+name+`":-`) {
			wrong = append(wrong, fmt.Errorf("at /%s: minimum: got -1, want 0", name))
		}
	}
	return errors.Join(wrong...)
}

func testCatalogue() Catalogue {
	return Catalogue{
		"price-deal": {Name: "price-deal", Params: nothingNegative{}},
		"combine":    {Name: "combine"},
	}
}

// checkFile reads a file as a submission is read, and returns everything that is wrong with it.
func checkFile(file string, data []byte) error {
	errs := &Errors{}
	checker := NewChecker(file, testCatalogue(), errs)
	if strings.HasSuffix(file, ".jsonl") {
		reader := NewReader(file, strings.NewReader(string(data)))
		for {
			spec, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			errs.Merge(err)
			checker.Add(spec, spec.Params)
		}
		checker.Finish()
		return errs.Err()
	}
	run, err := ParseRunFile(file, data)
	errs.Merge(err)
	if run != nil && len(run.Jobs) > 0 {
		for _, spec := range run.Jobs {
			checker.Add(spec, spec.Params)
		}
		checker.Finish()
		checker.CheckOnly(run)
	}
	return errs.Err()
}

func TestEveryErrorOfABadFileIsReportedWithItsPlace(t *testing.T) {
	files := writtenBadFiles()
	for _, pattern := range []string{"*.yaml", "*.json", "*.jsonl"} {
		paths, err := filepath.Glob(filepath.Join("testdata", "bad", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(path)] = string(data)
		}
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			err := checkFile(name, []byte(data))
			if err == nil {
				t.Fatal("no error was found")
			}
			got := shorten(err.Error()) + "\n"
			golden := filepath.Join("testdata", "bad", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("errors (-golden +got):\n%s", diff)
			}
		})
	}
}

// shorten keeps the ends of a very long list of errors.
func shorten(s string) string {
	lines := strings.Split(s, "\n")
	if len(lines) <= 100 {
		return s
	}
	return strings.Join(lines[:3], "\n") + "\n[…]\n" + strings.Join(lines[len(lines)-3:], "\n")
}

func TestAGoldenFileBelongsToATest(t *testing.T) {
	goldens, err := filepath.Glob(filepath.Join("testdata", "bad", "*.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if len(goldens) == 0 {
		t.Fatal("there are none")
	}
	written := writtenBadFiles()
	for _, golden := range goldens {
		source := strings.TrimSuffix(golden, ".golden")
		if _, ok := written[filepath.Base(source)]; ok {
			continue
		}
		if _, err := os.Stat(source); err != nil {
			t.Errorf("%s: %v", golden, err)
		}
	}
}
