package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGenerateWritesARunFileAndItsJobs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--deals", "20", "--change", "0.1", "--out", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if want := "20 deals, 27 jobs: " + filepath.Join(dir, "run.yaml") + "\n"; stdout.String() != want {
		t.Errorf("says %q, want %q", &stdout, want)
	}
	file, err := os.ReadFile(filepath.Join(dir, "run.yaml"))
	if err != nil || !strings.Contains(string(file), `jobs_from: "jobs.jsonl"`) {
		t.Errorf("run.yaml: %v\n%s", err, file)
	}
	jobs, err := os.ReadFile(filepath.Join(dir, "jobs.jsonl"))
	if err != nil || bytes.Count(jobs, []byte("\n")) != 27 {
		t.Errorf("jobs.jsonl: %v, %d lines", err, bytes.Count(jobs, []byte("\n")))
	}
}

func TestAnalysesAreRunFilesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--deals", "20", "--analyses", "12", "--out", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	if want := "12 analyses: " + filepath.Join(dir, "analyses") + "\n"; !strings.HasSuffix(stdout.String(), want) {
		t.Errorf("says %q, want it to end with %q", &stdout, want)
	}
	files, err := filepath.Glob(filepath.Join(dir, "analyses", "*.json"))
	if err != nil || len(files) != 12 || filepath.Base(files[0]) != "000001.json" {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestDealsMayComeFromFilesAndEventsFromS3(t *testing.T) {
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--deals", "20", "--out", first}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	files := []string{"--reinsinfo", filepath.Join(first, "reinsinfo.csv"), "--reinsscope", filepath.Join(first, "reinsscope.csv")}
	if code := run(append(files, "--melt", "us-hurricane=s3://spate-data/melt.csv", "--out", second), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	lines := func(dir string) []string {
		content, err := os.ReadFile(filepath.Join(dir, "jobs.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Split(string(content), "\n")
		slices.Sort(all)
		return all
	}
	invented, read := lines(first), lines(second)
	var differ []string
	for _, line := range read {
		if !slices.Contains(invented, line) {
			differ = append(differ, line)
		}
	}
	const want = `{"id":"occurrences-us-hurricane","task":"simulate-events",` +
		`"params":{"seed":1,"periods":10000,"peril":{"name":"us-hurricane","territory":"US","number":1,"currency":"USD","first_day":152,"last_day":334}},` +
		`"inputs":{"melt.csv":"s3://spate-data/melt.csv"},"labels":{"peril":"us-hurricane","territory":"US"}}`
	if len(read) != len(invented) || !slices.Equal(differ, []string{want}) {
		t.Errorf("%d lines, then %d; new ones: %v", len(invented), len(read), differ)
	}
}

func TestADealMayHaveItsCedantsOwnLosses(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--deals", "20", "--elt", "deal-00017=s3://spate-data/elt.csv", "--out", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	content, err := os.ReadFile(filepath.Join(dir, "jobs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		own := strings.Contains(line, `"inputs":{"elt.csv":"s3://spate-data/elt.csv"}`)
		if is := strings.HasPrefix(line, `{"id":"deal-00017"`); own != is || is == strings.Contains(line, "market_share") && strings.Contains(line, "price-deal") {
			t.Errorf("own losses or a market share are wrong: %s", line)
		}
	}
}

func TestGenerateHelpsWhoeverAsks(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"--help"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 || !strings.Contains(stdout.String(), "-melt") {
		t.Errorf("exit code %d, %s%s", code, &stdout, &stderr)
	}
}

func TestGenerateRefusesWhatItCannotDo(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no directory": {nil, 2, "--out is required"},
		"no such flag": {[]string{"--deal", "3"}, 2, "not defined"},
		"half a deal":  {[]string{"--reinsinfo", "x", "--out", t.TempDir()}, 2, "go together"},
		"no file":      {[]string{"--reinsinfo", "x", "--reinsscope", "y", "--out", t.TempDir()}, 1, "no such file"},
		"no peril":     {[]string{"--melt", "flood=s3://a/b", "--out", t.TempDir()}, 2, "no peril is called flood: there are us-hurricane, invented-"},
		"no address":   {[]string{"--melt", "us-hurricane", "--out", t.TempDir()}, 2, "expected PERIL=s3://bucket/key"},
		"no deal":      {[]string{"--elt", "deal-7=s3://a/b", "--out", t.TempDir()}, 1, "event losses of deal-7: there is no such deal"},
		"no losses":    {[]string{"--elt", "deal-00007=b.csv", "--out", t.TempDir()}, 1, "event losses of deal-00007: b.csv is not an address in S3"},
		"only a deal":  {[]string{"--elt", "deal-00007", "--out", t.TempDir()}, 2, "expected DEAL=s3://bucket/key"},
		"no analyses":  {[]string{"--analyses", "-1", "--out", t.TempDir()}, 2, "--analyses -1 is below 0"},
		"no deals":     {[]string{"--deals", "0", "--out", t.TempDir()}, 1, "deals 0 outside 1 to 1000000"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(test.args, &stdout, &stderr); code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%s: exit code %d, %s", name, code, &stderr)
		}
	}
}
