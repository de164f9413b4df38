package completion

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// grammar has one of everything that a command line of ours can have.
type grammar struct {
	Send struct {
		File   string   `arg:"" type:"path"`
		Only   []string `help:"Only these."`
		Output string   `enum:"text,json" default:"text" short:"o"`
		Watch  bool     `short:"w"`
		Check  bool     `negatable:""`
		Secret bool     `hidden:""`
		Config string   `type:"path"`
	} `cmd:"" help:"Send it."`
	Show struct {
		Run     string `arg:"" name:"run"`
		Job     string `arg:""`
		Against string `placeholder:"RUN|KEY"`
	} `cmd:"" aliases:"view"`
	Both struct {
		Before string `arg:"" complete:"run"`
		After  string `arg:"" complete:"run"`
	} `cmd:"" help:"Both."`
	Many struct {
		Colours []string `arg:"" enum:"red,green"`
	} `cmd:""`
	Stop struct {
		RunID string `arg:"" name:"run" complete:"run-id"`
		To    string `placeholder:"DIR"`
	} `cmd:""`
	Pause struct {
		Pool string `arg:"" name:"pool"`
	} `cmd:""`
	Inner struct{} `cmd:"" hidden:""`
}

func TestWhatCanFollow(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&grammar{}, kong.Name("spate"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ line, want string }{
		{"", "send show both many stop pause"}, // no hidden command
		{"s", "send show stop"},
		{"x", ""},
		{"x ", ""},
		{"--", "--help"},
		{"send ", "FILES"},
		{"send a.yaml ", ""},
		{"send -", "--help --only --output --watch --check --no-check --config"}, // no hidden flag
		{"send --o", "--only --output"},
		{"send --only a --output json -w --no-check --o", "--only"}, // which can be given again
		{"send -w -", "--help --only --output --check --no-check --config"},
		{"send --output ", "text json"},
		{"send --output j", "json"},
		{"send --output=", "--output=text --output=json"},
		{"send --output=j", "--output=json"},
		{"send --output = j", "--output=json"}, // as bash has it
		{"send --output =", "--output=text --output=json"},
		{"send -wo ", "text json"},
		{"send -o t", "text"},
		{"send -ojson ", "FILES"},
		{"send --config ", "FILES"},
		{"send --config=x", "FILES"},
		{"send --unknown=", ""},
		{"send --unknown ", "FILES"},
		{"send --watch ", "FILES"},
		{"send -- -", "FILES"},
		{"send - ", ""},
		{"show ", "RUNS NAMES"},
		{"view ", "RUNS NAMES"},
		{"show r ", ""},
		{"show r --against ", "RUNS NAMES"},
		{"both a ", "RUNS NAMES"},
		{"both a b ", ""},
		{"many red g", "green"},
		{"stop ", "RUNS"},
		{"stop --to=", "FILES"},
		{"pause ", "POOLS"},
		{"pause a ", ""},
	} {
		words := strings.Split(test.line, " ")
		answer := Complete(parser.Model, words)
		got := make([]string, 0, len(answer.Words))
		for _, w := range answer.Words {
			got = append(got, w.Text)
		}
		if answer.Files {
			got = append(got, "FILES")
		}
		if answer.Runs {
			got = append(got, "RUNS")
		}
		if answer.Names {
			got = append(got, "NAMES")
		}
		if answer.Pools {
			got = append(got, "POOLS")
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%q: got %q, want %q", test.line, text, test.want)
		}
	}
}

func TestAnAnswerKnowsTheValueAtTheCursorAndThoseBeforeIt(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&grammar{}, kong.Name("spate"))
	if err != nil {
		t.Fatal(err)
	}
	a := Complete(parser.Model, []string{"show", "--against=nig"})
	a.Add("nightly", "of today\nand more")
	a.Add("weekly", "does not begin so")
	a.Files = true
	var printed strings.Builder
	if err := a.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if want := "--against=nightly\tof today\n:files\n"; printed.String() != want || a.Value != "nig" {
		t.Errorf("%q: printed %q, want %q", a.Value, printed.String(), want)
	}
	a = Complete(parser.Model, []string{"send", "--config", "=", "c.yaml", "-ojson", "--only", "x", ""})
	if a.Given["config"] != "c.yaml" || a.Given["output"] != "json" || a.Given["only"] != "x" {
		t.Errorf("given are %v", a.Given)
	}
}

func TestThereIsAScriptForEachShell(t *testing.T) {
	t.Parallel()
	for _, shell := range Shells() {
		if script, err := Script(shell); err != nil || !strings.Contains(script, " complete -- ") || !strings.Contains(script, FilesLine) {
			t.Errorf("%s: %v\n%s", shell, err, script)
		}
	}
	if _, err := Script("tcsh"); err == nil || !strings.Contains(err.Error(), "bash, zsh, fish") {
		t.Errorf("of tcsh: %v", err)
	}
}
