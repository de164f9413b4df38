// Package completion says what can follow on a command line, for the shells that ask. What there is to say comes from the
// model by which the command line is parsed, so that it cannot lag behind it; what lies elsewhere, such as the files of
// this machine or runs, the answer only asks for.
//
// The scripts of the three shells are as small as they can be: they call the program with the words before the cursor and
// offer the lines that it prints. A line is a word, a tab and what the word means; the line [FilesLine] asks for files.
package completion

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

//go:embed scripts
var scripts embed.FS

// Shells are those that there is a script for.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script is what a shell must read to complete command lines of spate.
func Script(shell string) (string, error) {
	data, err := scripts.ReadFile("scripts/spate." + shell)
	if err != nil {
		return "", fmt.Errorf("there is no completion for %s, only for %s", shell, strings.Join(Shells(), ", "))
	}
	return string(data), nil
}

// FilesLine is the line that asks a shell for its files.
const FilesLine = ":files"

// Tag is the struct tag that says what a value is where its name does not: "run", or "run-id" where its id alone will do.
const Tag = "complete"

const (
	runValue   = "run"
	runIDValue = "run-id"
	poolValue  = "pool"
)

// Word can stand at the cursor.
type Word struct {
	Text string
	Help string // one line; may be empty
}

// Answer is what can stand at the cursor.
type Answer struct {
	Words []Word
	Files bool // names of files, too
	Runs  bool // runs, too: their ids,
	Names bool // and names
	Pools bool // pools, too

	// Value is how the value at the cursor begins, and Given are those of the flags before it, by name.
	Value string
	Given map[string]string

	attached string // what stands before the value in the same word: "--output="
}

// Add adds a value if it begins as what is written does.
func (a *Answer) Add(text, help string) {
	if strings.HasPrefix(text, a.Value) {
		a.Words = append(a.Words, Word{a.attached + text, help})
	}
}

// Print writes the answer in the form that the scripts read.
func (a *Answer) Print(w io.Writer) error {
	for _, word := range a.Words {
		help, _, _ := strings.Cut(word.Help, "\n")
		if _, err := fmt.Fprintf(w, "%s\t%s\n", word.Text, help); err != nil {
			return err
		}
	}
	if a.Files {
		_, err := fmt.Fprintln(w, FilesLine)
		return err
	}
	return nil
}

// Complete says what can stand where the last of words is, which is as far as it was written. Words before it that are
// wrong are let be: nothing is said of what follows an unknown command.
func Complete(app *kong.Application, words []string) *Answer {
	words = rejoin(words)
	if len(words) == 0 {
		words = []string{""}
	}
	line := parsed{node: app.Node, answer: &Answer{Given: map[string]string{}}}
	for _, word := range words[:len(words)-1] {
		if !line.take(word) {
			return line.answer
		}
	}
	line.last(words[len(words)-1])
	return line.answer
}

// rejoin puts words together that bash took apart at an equals sign.
func rejoin(words []string) []string {
	var joined []string
	for i := 0; i < len(words); i++ {
		last := len(joined) - 1
		if words[i] != "=" || last < 0 || !strings.HasPrefix(joined[last], "--") || strings.Contains(joined[last], "=") {
			joined = append(joined, words[i])
			continue
		}
		joined[last] += "="
		if i++; i < len(words) {
			joined[last] += words[i]
		}
	}
	return joined
}

// parsed is how far a command line was understood.
type parsed struct {
	node       *kong.Node
	flag       *kong.Flag // that waits for its value
	positional int        // how many there were
	noFlags    bool       // "--" ended them
	answer     *Answer
}

// take takes a word that is complete. It returns false when nothing can be said of what follows.
func (l *parsed) take(word string) bool {
	switch {
	case l.flag != nil:
		l.answer.Given[l.flag.Name] = word
		l.flag = nil
	case l.noFlags || word == "-" || !strings.HasPrefix(word, "-"):
		if len(l.node.Children) == 0 {
			l.positional++
			return true
		}
		i := slices.IndexFunc(l.node.Children, func(n *kong.Node) bool { return n.Name == word || slices.Contains(n.Aliases, word) })
		if i < 0 {
			return false
		}
		l.node = l.node.Children[i]
	case word == "--":
		l.noFlags = true
	case strings.HasPrefix(word, "--"):
		name, value, has := strings.Cut(word[2:], "=")
		flag := l.find(func(f *kong.Flag) bool { return f.Name == name })
		switch {
		case has:
			l.answer.Given[name] = value
		case flag != nil && takesValue(flag):
			l.flag = flag
		default:
			l.answer.Given[name] = ""
		}
	default:
		l.takeShort(word[1:])
	}
	return true
}

// takeShort takes flags of one letter, such as "wo json" or "wojson".
func (l *parsed) takeShort(letters string) {
	for i, letter := range letters {
		flag := l.find(func(f *kong.Flag) bool { return f.Short == letter })
		switch rest := letters[i+len(string(letter)):]; {
		case flag == nil:
			return
		case !takesValue(flag):
			l.answer.Given[flag.Name] = ""
			continue
		case rest == "":
			l.flag = flag
		default:
			l.answer.Given[flag.Name] = rest
		}
		return
	}
}

// last answers for the word at the cursor.
func (l *parsed) last(word string) {
	a := l.answer
	a.Value = word
	name, value, attached := strings.Cut(word, "=")
	switch {
	case l.flag != nil:
		a.ask(l.flag.Value, l.flag.PlaceHolder)
	case !l.noFlags && attached && strings.HasPrefix(name, "--"):
		if flag := l.find(func(f *kong.Flag) bool { return "--"+f.Name == name }); flag != nil {
			a.Value, a.attached = value, name+"="
			a.ask(flag.Value, flag.PlaceHolder)
		}
	case !l.noFlags && strings.HasPrefix(word, "-"):
		l.offerFlags()
	case len(l.node.Children) > 0:
		for _, child := range l.node.Children {
			if !child.Hidden {
				a.Add(child.Name, child.Help)
			}
		}
	case len(l.node.Positional) > 0:
		i := min(l.positional, len(l.node.Positional)-1)
		if v := l.node.Positional[i]; i == l.positional || v.IsCumulative() {
			a.ask(v, "")
		}
	}
}

// offerFlags offers the flags that were not given yet, or can be given again.
func (l *parsed) offerFlags() {
	for _, group := range l.node.AllFlags(true) {
		for _, flag := range group {
			no := "no-" + flag.Name
			_, given := l.answer.Given[flag.Name]
			_, negated := l.answer.Given[no]
			if (given || negated) && !flag.IsCumulative() {
				continue
			}
			l.answer.Add("--"+flag.Name, flag.Help)
			if flag.Tag.Negatable != "" {
				l.answer.Add("--"+no, "Do not: "+flag.Help)
			}
		}
	}
}

func (l *parsed) find(is func(*kong.Flag) bool) *kong.Flag {
	for _, group := range l.node.AllFlags(false) {
		if i := slices.IndexFunc(group, is); i >= 0 {
			return group[i]
		}
	}
	return nil
}

func takesValue(f *kong.Flag) bool { return !f.IsBool() && !f.IsCounter() }

// ask offers the values that something can have.
func (a *Answer) ask(v *kong.Value, placeholder string) {
	switch {
	case v.Enum != "":
		for _, value := range v.EnumSlice() {
			a.Add(value, "")
		}
	case v.Tag.Type == "path" || placeholder == "DIR" || placeholder == "FILE":
		a.Files = true
	case v.Tag.Get(Tag) == runIDValue:
		a.Runs = true
	case v.Name == poolValue:
		a.Pools = true
	case v.Tag.Get(Tag) == runValue || v.Name == runValue || strings.HasPrefix(placeholder, "RUN"):
		a.Runs, a.Names = true, true
	}
}
