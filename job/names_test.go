package job

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNamesOfThingsAreLowerCaseWords(t *testing.T) {
	checkTable(t, CheckName, map[string]string{
		"a": "", "0": "", "rollup": "", "nightly-rollup_2": "", "2026-11-21": "", strings.Repeat("a", MaxNameLength): "",
		"":       "is empty",
		"Rollup": "lower-case", "-a": "beginning with", "_a": "beginning with", "a.b": "lower-case", "a b": "lower-case",
		"a/b": "lower-case", "größe": "lower-case", "a\n": "lower-case", "..": "lower-case", "\xff": "lower-case",
		strings.Repeat("a", MaxNameLength+1): "has 64 characters, at most 63",
		strings.Repeat("a", 1<<20):           "a…",
	})
}

func TestJobIDsAreWordsWithDots(t *testing.T) {
	checkTable(t, CheckID, map[string]string{
		"a": "", "Deal-00017.v2_x": "", "0": "", "Z": "", "a..b": "", strings.Repeat("x", MaxIDLength): "",
		"": "is empty", ".a": "beginning with", "-a": "beginning with", "_a": "beginning with", "a b": "want letters",
		"a/b": "want letters", "a:b": "want letters", "é": "want letters", "..": "beginning with", "a\x00": "want letters",
		strings.Repeat("x", MaxIDLength+1): "has 129 characters, at most 128",
		strings.Repeat("é", MaxIDLength):   "want letters",
	})
}

func TestStagedNamesStayInTheirDirectory(t *testing.T) {
	checkTable(t, CheckPath, map[string]string{
		"a": "", "melt.csv": "", "a/b/c.csv": "", "größe/日本.csv": "", ".hidden": "", "a b": "", "...": "", "a..b": "", "-rf": "",
		"e\u0301": "", strings.Repeat("a", maxElementLength): "", "_manifest.json": "",
		strings.Repeat("a", 255) + "/" + strings.Repeat("b", 255): "",
		"": "is empty", "/a": "is absolute", "/": "is absolute", "a/": "empty element", "a//b": "empty element",
		".": `an element "."`, "..": `an element ".."`, "../a": `an element ".."`, "a/../b": `an element ".."`,
		"a/./b": `an element "."`, "a/..": `an element ".."`, `a\b`: "backslash", "a\nb": "control", "a\x00": "control",
		"a\x7f": "control", "a\u0085": "control", "\xff": "not valid UTF-8", "a/\xc3": "not valid UTF-8",
		strings.Repeat("a", maxElementLength+1): "an element of 256 bytes",
		strings.Repeat("a/", 256) + "a":         "has 513 bytes",
		strings.Repeat("ä", 300):                "has 600 bytes",
	})
}

// checkTable maps what check is given to what its error must contain, "" for no error.
func checkTable(t *testing.T, check func(string) error, table map[string]string) {
	t.Helper()
	for in, want := range table {
		err := check(in)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v, want no error", clip(in), err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want one with %q", clip(in), err, want)
		case err != nil && (len(err.Error()) > 300 || !utf8.ValidString(err.Error())):
			t.Errorf("%q: an error of %d bytes, want a short one in UTF-8", clip(in), len(err.Error()))
		}
	}
}

func TestTheNearestWordIsSuggested(t *testing.T) {
	known := []string{"id", "task", "params", "inputs", "needs", "labels"}
	for word, want := range map[string]string{
		"taks": "task", "Task": "task", "tasks": "task", "param": "params", "input": "inputs", "need": "needs", "lables": "labels",
		"ID": "id", "retention": "", "": "", "x": "", "xy": "", "priority": "", "parents": "", strings.Repeat("t", 1<<20): "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", clip(word), got, want)
		}
	}
}

func TestObjectURLsNameABucketAndAnObject(t *testing.T) {
	for url, want := range map[string][2]string{
		"s3://data/a": {"data", "a"}, "s3://data/a/b c": {"data", "a/b c"}, "s3://data//": {"data", "/"},
		"s3://data": {}, "s3://data/": {}, "s3:///a": {}, "": {}, "http://data/a": {}, "S3://data/a": {}, "data/a": {},
	} {
		bucket, object, err := ParseObjectURL(url)
		if got := [2]string{bucket, object}; got != want || (err == nil) != (want != [2]string{}) {
			t.Errorf("%q: got %q, %v, want %q", url, got, err, want)
		}
		if err == nil && ObjectURL(bucket, object) != url {
			t.Errorf("%q: written %q", url, ObjectURL(bucket, object))
		}
	}
}

func TestOnlyAManifestsPathNamesAKey(t *testing.T) {
	key := Key{0xab, 31: 0xcd}
	path := ManifestPath(key)
	if want := "outputs/ab/" + key.String() + "/_manifest.json"; path != want {
		t.Errorf("path %s, want %s", path, want)
	}
	if got, ok := ParseManifestPath(path); !ok || got != key {
		t.Errorf("got %s, %t", got, ok)
	}
	for _, other := range []string{
		"", "outputs/", strings.TrimPrefix(path, "outputs/"), "/" + path, path + "/", path + ".tmp", "x" + path,
		strings.Replace(path, "/ab/", "/ac/", 1), strings.Replace(path, "/ab/", "/a/", 1), strings.Replace(path, "/ab/", "//", 1),
		strings.ToUpper(path), strings.Replace(path, "/ab/ab", "/AB/AB", 1), AttemptPrefix(key, "1") + ManifestFile,
		AttemptPrefix(key, "1") + "out.csv", OutputPrefix(key) + "manifest.json", strings.Replace(path, "cd/", "/", 1),
	} {
		if got, ok := ParseManifestPath(other); ok {
			t.Errorf("%q names %s", other, got)
		}
	}
}

func TestEachThingHasItsPlaceInTheBucket(t *testing.T) {
	for got, want := range map[string]string{
		OutputPrefix(Key{0xab})[:13]: "outputs/ab/ab", AttemptPrefix(Key{}, "1")[75:]: "/1/",
		ResultsIndexPath("n-1"): "results/n-1/index.jsonl", RunManifestPath("n-1"): "runs/n-1/jobs.jsonl",
		SubmissionPath("n-1"): "submissions/n-1/run.json",
		SubmissionJobsPath("n-1", strings.Repeat("0123", 16)):     "submissions/n-1/jobs-0123012301230123.jsonl",
		SubmissionJobsPath("n-1", "short sums are for tests"[:5]): "submissions/n-1/jobs-short.jsonl",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestHintsEndWhenTheyTakeTooLong(t *testing.T) {
	known := make([]string, hintsMost/4)
	for i := range known {
		known[i] = "x" // so short that it is not compared in earnest
	}
	known[0] = "deal-1"
	similar := newHinter(known)
	for i := range 6 {
		if got, want := similar.to("deal-2") == "deal-1", i < 4; got != want {
			t.Errorf("hint %d is given: %v, want %v", i+1, got, want)
		}
	}
}
