package mutation

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// mutation takes one limit away.
type mutation struct {
	limit string // what is modelled
	file  string // below sandbox
	from  string // occurs once in the file
	to    string
	test  string // in the file's package, or in the one before its last slash
}

func mutations() []mutation {
	return slices.Concat(ecsMutations(), sqsMutations(), dynamodbMutations(), s3Mutations(), sandboxMutations())
}

// pkg and name are the directory of the test's package, below the module's root, and the test's name.
func (m mutation) pkg() string {
	if dir := filepath.Dir(m.test); dir != "." {
		return dir
	}
	return filepath.Join("sandbox", filepath.Dir(m.file))
}

func (m mutation) name() string { return filepath.Base(m.test) }

const root = "../.."

func (m mutation) source(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "sandbox", m.file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEachMutationFindsItsTextAndItsTest(t *testing.T) {
	for _, m := range mutations() {
		if n := strings.Count(m.source(t), m.from); n != 1 || m.from == m.to {
			t.Errorf("%s: %q is %d times in %s, want once, and changed", m.limit, m.from, n, m.file)
		}
		files, err := filepath.Glob(filepath.Join(root, m.pkg(), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		isTest := regexp.MustCompile(`(?m)^func ` + m.name() + `\(t \*testing\.T\)`)
		if !slices.ContainsFunc(files, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && isTest.Match(text)
		}) {
			t.Errorf("%s: there is no %s in %s", m.limit, m.name(), m.pkg())
		}
	}
}

// mutate is off for the ordinary tests: it builds each package once for each of its limits, and takes minutes.
var mutate = flag.Bool("mutate", false, "take each limit away and see its test fail")

func TestEachLimitIsMissedByItsTest(t *testing.T) {
	if !*mutate {
		t.Skip("make mutate runs it")
	}
	all := mutations()
	verdicts := make([]string, len(all))
	t.Run("without", func(t *testing.T) {
		for i, m := range all {
			t.Run(m.limit, func(t *testing.T) {
				t.Parallel()
				verdicts[i] = m.run(t)
				if verdicts[i] != failed {
					t.Errorf("%s %s without %s", m.name(), verdicts[i], m.limit)
				}
			})
		}
	})
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WITHOUT\tTEST\tIT")
	for i, m := range all {
		if verdicts[i] == "" {
			continue // -run left it out
		}
		fmt.Fprintf(w, "%s\t%s %s\t%s\n", m.limit, m.pkg(), m.name(), verdicts[i])
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// What becomes of a test without its limit.
const (
	failed   = "fails"
	passed   = "STILL PASSES"
	hung     = "HANGS"
	unproven = "DOES NOT BUILD OR RUN"
)

// run runs the test with the limit taken away.
func (m mutation) run(t *testing.T) string {
	t.Helper()
	return verdict(t.Context(), "-overlay", m.overlay(t), "-count=1", "-timeout=2m", "-vet=off", "-run", "^"+m.name()+"$", "./"+m.pkg())
}

// overlay is the name of a file that lays the changed file over the original.
func (m mutation) overlay(t *testing.T) string {
	t.Helper()
	original, err := filepath.Abs(filepath.Join(root, "sandbox", m.file))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(m.source(t), m.from, m.to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

func verdict(ctx context.Context, args ...string) string {
	command := exec.CommandContext(ctx, "go", append([]string{"test"}, args...)...)
	command.Dir = root
	out, err := command.CombinedOutput()
	return verdictOf(string(out), err)
}

// verdictOf says what became of tests that printed text and ended with err.
func verdictOf(text string, err error) string {
	switch {
	case err == nil:
		return passed
	case strings.Contains(text, "panic: test timed out"):
		return hung
	case strings.Contains(text, "--- FAIL: "):
		return failed
	default:
		return unproven + ":\n" + text
	}
}
