package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each shell reads its script and completes command lines. Of zsh, whose completion needs a terminal, the functions that
// would show the answer are replaced.
func TestShellsCompleteCommandLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "run of mine.yaml"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "runs"), 0o700))
	const (
		bash = `eval "$(spate completion bash)"
try() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _spate; printf '%s\n' "${COMPREPLY[@]}"; }
`
		zsh = `compdef() { }; compset() { }; _describe() { print -l -- "${(@P)4}" }; _files() { print -l files }
source <(spate completion zsh)
try() { words=("$@") CURRENT=$# PREFIX=${@[-1]}; _spate }
`
		fish = "spate completion fish | source\n"
	)
	for _, test := range []struct{ shell, name, script, want string }{
		{"bash", "commands", bash + "try spate wh", "what-if\nwhy\n"},
		{"bash", "a path to the program", bash + `cd ` + dir + ` && try "$(command -v spate)" gra`, "graph\n"},
		{"bash", "commands of a command", bash + "try spate cache ''", "stats\nwhy\nverify\nrebuild\nforget\n"},
		{"bash", "flags", bash + "try spate compare --no", "--no-outputs\n"},
		{"bash", "values", bash + "try spate runs -o ''", "text\njson\n"},
		{"bash", "values after an equals sign", bash + "try spate runs --output = j; try spate runs --output =", "json\ntext\njson\n"},
		{"bash", "values where words are not broken", bash + "try spate runs --output=j", "--output=json\n"},
		{"bash", "files", bash + "cd " + dir + " && try spate submit r | sort", "run of mine.yaml\nruns\n"},
		{"bash", "files after an equals sign", bash + "cd " + dir + " && try spate submit --config=runs; try spate submit --config = runs", "--config=runs\nruns\n"},
		{"bash", "nothing", bash + "try spate nonsense ''", "\n"},
		{"bash", "no installation", bash + "SPATE_CONFIG=/nonexistent try spate status ''", "\n"},
		{"zsh", "commands", zsh + "try spate vers", "version:Print the version.\n"},
		{"zsh", "values", zsh + "try spate runs --output ''", "text:\njson:\n"},
		{"zsh", "files", zsh + "try spate submit ''", "files\n"},
		{"fish", "commands", fish + `complete -C "spate vers"`, "version\tPrint the version.\n"},
		{"fish", "values", fish + `complete -C "spate runs --output j"`, "json\n"},
		{"fish", "files", fish + "cd " + dir + `; complete -C "spate submit runs"`, "runs/\n"},
	} {
		t.Run(test.shell+", "+test.name, func(t *testing.T) {
			t.Parallel()
			path, err := exec.LookPath(test.shell)
			if err != nil {
				t.Skipf("there is no %s on this machine: its completion was not tried", test.shell)
			}
			flags := map[string][]string{"bash": {"--norc", "--noprofile"}, "zsh": {"-f"}, "fish": {"--no-config"}}[test.shell]
			cmd := exec.CommandContext(t.Context(), path, append(flags, "-c", test.script)...)
			cmd.Env = append(os.Environ(), "TEXTDOMAIN=", "LC_ALL=C")
			var complaints strings.Builder
			cmd.Stderr = &complaints
			out, err := cmd.Output()
			if err != nil || complaints.Len() > 0 {
				t.Errorf("%v: %s", err, complaints.String())
			}
			if string(out) != test.want {
				t.Errorf("got %q, want %q", out, test.want)
			}
		})
	}
}
