package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"spate/internal/awsclient"
	"spate/sandbox"
)

// callsOf counts the calls that a sandbox has answered, by service and operation.
func callsOf(s *sandbox.Sandbox) map[string]int {
	calls := map[string]int{}
	for service, operations := range s.State().Calls {
		for operation, outcomes := range operations {
			for _, n := range outcomes {
				calls[service+" "+operation] += n
			}
		}
	}
	return calls
}

// Nobody but the plan is there: no controller, no worker.
func TestAPlanCallsNothingThatWrites(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	configFile := file("spate.yaml", submitConfig)
	runFile := file("run.yaml", "name: a\npool: work\njobs:\n"+
		"  - {id: a, task: count, inputs: {x.csv: \"s3://data/x.csv\"}}\n  - {id: b, task: count, needs: {a: a}}\n")
	s, cfg := sandboxed(t, configFile)
	_, err := awsclient.Local(s.Endpoint()).S3.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(cfg.Bucket), Key: aws.String("x.csv"), Body: strings.NewReader("1"),
	})
	must(t, err)

	before := callsOf(s)
	var out, errs bytes.Buffer
	if code := run(program{nil, &out, &errs, os.Environ(), os.Getenv}, []string{"plan", "--config", configFile, runFile}); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if want := "a in pool work: 2 jobs; 0 cached, 2 would run. Nothing was submitted."; !strings.HasPrefix(out.String(), want) {
		t.Errorf("printed %s", out.String())
	}
	reads := regexp.MustCompile(`^\w+ (Get|Head|List|Describe|Query|Scan|BatchGet)`)
	made := map[string]bool{}
	for call, n := range callsOf(s) {
		if n == before[call] {
			continue
		}
		made[call] = true
		if !reads.MatchString(call) {
			t.Errorf("a plan called %s %d times", call, n-before[call])
		}
	}
	for _, call := range []string{"s3 HeadObject", "ecs DescribeTaskDefinition", "dynamodb BatchGetItem"} {
		if !made[call] {
			t.Errorf("the plan did not call %s, of %v: does this test see its calls?", call, made)
		}
	}
}
