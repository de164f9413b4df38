// Command testreport reads the output of `go test -json` on standard input and prints what `go test` alone would have
// printed: a line for each package and the output of failed tests. With -skips FILE it also appends a line for each
// reason for which tests were skipped, naming them, so that a green run cannot hide what it did not try. It exits 1 when anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	skips := flag.String("skips", "", "append the skipped tests to this `file`")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *skips); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, skips string) error {
	r := newReport(out)
	if err := r.read(in); err != nil {
		return fmt.Errorf("read test output: %w", err)
	}
	if skips != "" {
		f, err := os.OpenFile(skips, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open skips: %w", err)
		}
		defer f.Close()
		for _, line := range r.skipped() {
			if _, err := fmt.Fprintln(f, line); err != nil {
				return fmt.Errorf("write skips: %w", err)
			}
		}
	}
	switch {
	case len(r.failed) > 0:
		return fmt.Errorf("failed: %s", strings.Join(r.failed, ", "))
	case r.passed == 0:
		return fmt.Errorf("no package was tested")
	}
	return nil
}

// event is one line of `go test -json`, as far as it matters here (see `go doc test2json`).
type event struct {
	Action     string
	Package    string
	ImportPath string // set instead of Package on build-output
	Test       string
	Output     string
}

// report prints as it reads and remembers what was skipped and what failed.
type report struct {
	out     io.Writer
	outputs map[string][]string // by package and test, until the test's result is known
	reasons map[string][]string // reason for skipping: tests
	failed  []string
	passed  int // packages
}

func newReport(out io.Writer) *report {
	return &report{out: out, outputs: map[string][]string{}, reasons: map[string][]string{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		fmt.Fprint(r.out, line) // what the go command itself says is not JSON
		return
	}
	name := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if e.Test == "" {
			r.packageOutput(e.Output)
			return
		}
		r.outputs[name] = append(r.outputs[name], e.Output)
	case "skip":
		if e.Test != "" {
			reason := skipReason(r.outputs[name])
			r.reasons[reason] = append(r.reasons[reason], strings.TrimPrefix(e.Package, "spate/")+"."+e.Test)
		}
		delete(r.outputs, name)
	case "pass":
		if e.Test == "" {
			r.passed++
		}
		delete(r.outputs, name)
	case "fail":
		if e.Test == "" {
			r.failed = append(r.failed, e.Package)
		}
		for _, o := range r.outputs[name] {
			fmt.Fprint(r.out, o)
		}
		delete(r.outputs, name)
	}
}

// packageOutput prints what a package says, but for the bare verdict that go test keeps to itself without -v.
func (r *report) packageOutput(s string) {
	if s != "PASS\n" {
		fmt.Fprint(r.out, s)
	}
}

var logPosition = regexp.MustCompile(`^\s+\S+\.go:\d+: `)

// skipReason is the last message that the test logged.
func skipReason(output []string) string {
	for _, o := range slices.Backward(output) {
		if at := logPosition.FindStringIndex(o); at != nil {
			return strings.TrimSpace(o[at[1]:])
		}
	}
	return "no reason given"
}

// skipped is a line for each reason, in alphabetical order, with the tests it kept from running.
func (r *report) skipped() []string {
	const most = 5
	var lines []string
	for reason, tests := range r.reasons {
		slices.Sort(tests)
		names := strings.Join(tests[:min(most, len(tests))], ", ")
		if more := len(tests) - most; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		lines = append(lines, fmt.Sprintf("SKIPPED: %s (%s)", names, reason))
	}
	slices.Sort(lines)
	return lines
}
