// Package docs_test checks that the documents say what is so: links lead somewhere, files and functions that are named
// exist, and the examples are what Spate reads.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"spate/controller"
	"spate/examples/reinsurance"
	"spate/internal/config"
	"spate/planner"
)

const root = "../.."

// documents are all Markdown files by their path below the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			texts[path] = read(t, path)
		}
		return nil
	})
	if err != nil || len(texts) < 5 {
		t.Fatalf("%d documents, %v", len(texts), err)
	}
	return texts
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", path, m[1], err)
			}
		}
	}
}

func TestNamedFunctionsExist(t *testing.T) {
	name := regexp.MustCompile("`([a-z0-9/_]+\\.go): (\\w+)`")
	for path, text := range documents(t) {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + m[2] + `[(\[]`).MatchString(read(t, m[1])) {
				t.Errorf("%s: %s has no function %s", path, m[1], m[2])
			}
		}
	}
}

func TestNamedCommandsExist(t *testing.T) {
	commands := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+) +\w+Command +.cmd:`).FindAllStringSubmatch(read(t, "cmd/spate/main.go"), -1) {
		commands[strings.ToLower(m[1])] = true
	}
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^|`|bin/|; )spate ([a-z]+)").FindAllStringSubmatch(text, -1) {
			if !commands[m[1]] {
				t.Errorf("%s: there is no command spate %s", path, m[1])
			}
		}
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
	for _, file := range []string{"spate.yaml", "run.yaml"} {
		_, shown, _ := strings.Cut(read(t, "README.md"), "(examples/first-run/"+file+")")
		_, shown, _ = strings.Cut(shown, "```yaml\n")
		shown, _, _ = strings.Cut(shown, "```")
		for line := range strings.Lines(shown) {
			if !strings.Contains(read(t, "examples/first-run/"+file), line) {
				t.Errorf("README.md shows a line that %s does not have: %s", file, line)
			}
		}
	}
}
