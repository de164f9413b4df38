// Package docs_test checks that the documents say what is so: links lead somewhere, functions and commands that are
// named exist, and the examples are what Spate reads.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"spate/cache"
	"spate/controller"
	"spate/examples/reinsurance"
	"spate/internal/config"
	"spate/job"
	"spate/planner"
)

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWhatDocumentsNameExists(t *testing.T) {
	program := read(t, "cmd/spate/main.go")
	link := regexp.MustCompile(`\]\(([^)#:\s]+)\)`)
	function := regexp.MustCompile("`([a-z0-9/_]+\\.go): (\\w+)`")
	command := regexp.MustCompile("(?m)(?:^|`|bin/|; )spate ([a-z-]+)")
	named := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text := read(t, path)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", path, m[1], err)
			}
		}
		for _, m := range function.FindAllStringSubmatch(text, -1) {
			named++
			if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + m[2] + `[(\[]`).MatchString(read(t, m[1])) {
				t.Errorf("%s: %s has no function %s", path, m[1], m[2])
			}
		}
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(strings.ToLower(program), " "+strings.ReplaceAll(m[1], "-", "")+"command ") {
				t.Errorf("%s: there is no command spate %s", path, m[1])
			}
		}
		return nil
	})
	if err != nil || named == 0 {
		t.Fatalf("%d functions named, %v", named, err)
	}
}

func TestExamplesAreWhatSpateReads(t *testing.T) {
	for example, run := range map[string]string{"first-run": "run.yaml", "reinsurance": ""} {
		dir := filepath.Join(root, "examples", example)
		cfg, err := config.Load(filepath.Join(dir, "spate.yaml"), nil)
		if err != nil {
			t.Fatal(err)
		}
		catalogue, err := controller.Catalogue(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if run == "" {
			continue
		}
		p, err := planner.Prepare(filepath.Join(dir, run), catalogue)
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
}

func TestCopiesAreLikeTheirOriginals(t *testing.T) {
	_, tasks, _ := strings.Cut(reinsurance.Tasks(), "\ntasks:")
	if tasks == "" || !strings.HasSuffix(read(t, "examples/reinsurance/spate.yaml"), "\ntasks:"+tasks) {
		t.Error("examples/reinsurance/spate.yaml does not end with the tasks of tasks.yaml")
	}
	for _, block := range strings.Split(read(t, "README.md"), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if original := read(t, "examples/first-run/spate.yaml") + read(t, "examples/first-run/run.yaml"); !strings.Contains(original, block) {
			t.Errorf("README.md shows what examples/first-run does not have:\n%s", block)
		}
	}
}

func TestTheMessageForOtherProducersIsOneThatWorkersRead(t *testing.T) {
	text := read(t, "docs/external-pools.md")
	_, text, _ = strings.Cut(text, "```json\n")
	text, _, _ = strings.Cut(text, "```")
	m, doc, err := job.ParseMessage([]byte(text))
	if err != nil || m.Run == "" || doc.Spec.Task.Name == "" {
		t.Errorf("docs/external-pools.md: %+v, %v", m, err)
	}
}

// The commands are those of the help, which the program's own tests keep as it is.
func TestEachCommandIsDescribed(t *testing.T) {
	_, help, found := strings.Cut(read(t, "cmd/spate/testdata/script/help-spate.txtar"), "\nCommands:\n")
	commands := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z-]+) `).FindAllStringSubmatch(help, -1) {
		commands[m[1]] = true
	}
	if !found || len(commands) == 0 {
		t.Fatal("the help lists no commands")
	}
	described := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(read(t, "docs/commands.md"), -1) {
		for _, name := range regexp.MustCompile(`,\s+|\s+and\s+`).Split(m[1], -1) {
			if described[name] {
				t.Errorf("docs/commands.md describes %s twice", name)
			}
			if described[name] = true; !commands[name] {
				t.Errorf("docs/commands.md describes %s, which is no command", name)
			}
		}
	}
	for name := range commands {
		if !described[name] {
			t.Errorf("docs/commands.md has no section on %s", name)
		}
	}
}

func TestTheCachesMetricsAreDescribed(t *testing.T) {
	registry := prometheus.NewRegistry()
	cache.NewMetrics(registry)
	descriptions := make(chan *prometheus.Desc, 100)
	registry.Describe(descriptions)
	close(descriptions)
	text := read(t, "docs/commands.md")
	registered := map[string]bool{}
	for d := range descriptions {
		name := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]
		if registered[name] = true; !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/commands.md does not describe %s", name)
		}
	}
	for _, m := range regexp.MustCompile("`(spate_cache_[a-z_]+)`").FindAllStringSubmatch(text, -1) {
		if !registered[m[1]] {
			t.Errorf("docs/commands.md describes %s, which is no metric", m[1])
		}
	}
}

func TestALimitedRedisUsersCommandsAreDocumented(t *testing.T) {
	text := strings.Join(strings.Fields(read(t, "docs/output-cache.md")), " ")
	for _, commands := range []string{cache.RedisCommands, cache.RedisClusterCommands, cache.RedisTellingCommands} {
		if !strings.Contains(text, commands) {
			t.Errorf("docs/output-cache.md does not have %q", commands)
		}
	}
}
