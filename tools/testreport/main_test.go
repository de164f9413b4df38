package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	skippedTest = `{"Action":"run","Package":"spate/cache","Test":"TestRedis"}
{"Action":"output","Package":"spate/cache","Test":"TestRedis","Output":"=== RUN   TestRedis\n"}
{"Action":"output","Package":"spate/cache","Test":"TestRedis","Output":"    redis_test.go:12: redis-server not on PATH\n"}
{"Action":"output","Package":"spate/cache","Test":"TestRedis","Output":"--- SKIP: TestRedis (0.00s)\n"}
{"Action":"skip","Package":"spate/cache","Test":"TestRedis"}
{"Action":"output","Package":"spate/cache","Output":"PASS\n"}
{"Action":"output","Package":"spate/cache","Output":"ok  \tspate/cache\t0.1s\n"}
{"Action":"pass","Package":"spate/cache"}
`
	failedTest = `{"Action":"output","Package":"spate/job","Test":"TestGood","Output":"--- PASS: TestGood (0.00s)\n"}
{"Action":"pass","Package":"spate/job","Test":"TestGood"}
{"Action":"output","Package":"spate/job","Test":"TestBad","Output":"    key_test.go:7: wrong key\n"}
{"Action":"output","Package":"spate/job","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"spate/job","Test":"TestBad"}
{"Action":"output","Package":"spate/job","Output":"FAIL\tspate/job\t0.1s\n"}
{"Action":"fail","Package":"spate/job"}
`
)

func TestSkippedTestsAreNamedWithTheirReason(t *testing.T) {
	skips := filepath.Join(t.TempDir(), "skips")
	var out strings.Builder
	if err := run(strings.NewReader(skippedTest), &out, skips); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "ok  \tspate/cache\t0.1s\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	data, err := os.ReadFile(skips)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(data), "SKIPPED: cache.TestRedis (redis-server not on PATH)\n"; got != want {
		t.Errorf("noted %q, want %q", got, want)
	}
}

func TestAFailedTestIsPrintedAndFailsTheReport(t *testing.T) {
	var out strings.Builder
	err := run(strings.NewReader(failedTest), &out, "")
	if err == nil || !strings.Contains(err.Error(), "spate/job") {
		t.Errorf("error %v, want one that names spate/job", err)
	}
	if got := out.String(); !strings.Contains(got, "wrong key") || strings.Contains(got, "TestGood") {
		t.Errorf("printed %q, want the failed test's output and no other's", got)
	}
}

func TestOutputThatIsNotJSONIsShownAndAnEmptyRunFails(t *testing.T) {
	var out strings.Builder
	if err := run(strings.NewReader("go: no such package\n"), &out, ""); err == nil {
		t.Error("a run that tested nothing was called a success")
	}
	if got, want := out.String(), "go: no such package\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
