package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"
)

func TestCommandsInTextAreWrittenAsTheyMustBeTyped(t *testing.T) {
	t.Parallel()
	for self, want := range map[string]string{
		"":            "see `spate runs`, not spate runs\n",
		"spate":       "see `spate runs`, not spate runs\n",
		"./bin/spate": "see `./bin/spate runs`, not spate runs\n",
	} {
		var b bytes.Buffer
		if n, err := fmt.Fprintln(page{&b, 0, self}, "see `spate runs`, not spate runs"); err != nil || n != 33 {
			t.Error(n, err)
		}
		if b.String() != want {
			t.Errorf("called as %q: %s", self, &b)
		}
	}
}

func TestACommandToPasteStaysInOnePiece(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ self, text, want string }{
		{"", "When its cause is mended: `spate retry some-run`.", "When its cause is\n  mended:\n  `spate retry some-run`.\n"},
		{"", "go on (`spate failed a-run --limit 0`) or not", "go on\n  (`spate failed a-run --limit 0`)\n  or not\n"},
		{"bin/spate", "see `spate runs` and rest", "see `bin/spate runs`\n  and rest\n"},
		{"/a dir/spate", "see `spate runs` and rest", "see\n  `/a dir/spate runs`\n  and rest\n"},
		{"bin/spate", "ask, or: `aws ecs list-clusters --max-items 9`.", "ask, or:\n  `aws ecs list-clusters --max-items 9`.\n"},
		{"", "a job said `spate was here and no more", "a job said `spate was\n  here and no more\n"},
		{"", "words between `other quotes are folded`", "words between `other\n  quotes are folded`\n"},
	} {
		var b bytes.Buffer
		page{&b, 21, test.self}.paragraph("", test.text)
		if got := b.String(); got != test.want {
			t.Errorf("got\n%swant\n%s", got, test.want)
		}
	}
}

func TestJSONIsPrintedAsItIs(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := printJSON(page{&b, 20, "./spate"}, "a job said: `spate runs` in a line that is long"); err != nil {
		t.Fatal(err)
	}
	if want := "\"a job said: `spate runs` in a line that is long\"\n"; b.String() != want {
		t.Error(b.String())
	}
}

func TestALineOfAJobCannotDrawOnTheTerminal(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	page{Writer: &b}.quote([]string{"\x1b[1;31mred\x1b[0m\tä", "10 %\r20 %", "\x1b]0;title\a\u009b2J"})
	if want := "    | red\tä\n    | 10 %·20 %\n    | ·]0;title··2J\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestAShellReadsAWordBack(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"", "plain/path-1.yaml", "with space", "it's", "$HOME", "a;b", "`x`", "~/x", "*", "ä"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+shellWord(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q is written %s and read %q, %v", word, shellWord(word), out, err)
		}
	}
	if got := shellWord("/tmp/spate.yaml"); got != "/tmp/spate.yaml" {
		t.Errorf("quoted without need: %s", got)
	}
}
