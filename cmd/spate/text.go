package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/term"
)

// outputFlag is the --output of every command that prints something.
type outputFlag struct {
	Output string `help:"Print text for people, or json." enum:"text,json" default:"text" short:"o"`
}

func (o outputFlag) json() bool { return o.Output == "json" }

// printJSON writes one JSON value, indented.
func printJSON(w io.Writer, v any) error {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	_, err = fmt.Fprintf(pageOn(w).Writer, "%s\n", data)
	return err
}

// page is where text for people goes. Commands of this program that stand between backquotes in it are written as they must
// be typed.
type page struct {
	io.Writer
	width int    // columns; 0 leaves lines whole, for files and other programs
	self  string // what this program was called as; "" is its name
}

// newPage is a file or terminal. One that is no terminal has the width that columns says, if it is a number.
func newPage(f *os.File, self, columns string) page {
	p := page{f, 0, self}
	if term.IsTerminal(int(f.Fd())) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = width
		}
		return p
	}
	if width, err := strconv.Atoi(columns); err == nil && width > 0 {
		p.width = width
	}
	return p
}

// pageOn is w as a page.
func pageOn(w io.Writer) page {
	if p, ok := w.(page); ok {
		return p
	}
	return page{Writer: w}
}

// terminal is the terminal that w writes to, if it is one.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := pageOn(w).Writer.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// name is what to type for this program.
func (p page) name() string { return cmp.Or(p.self, programName) }

// Write writes text.
func (p page) Write(text []byte) (int, error) {
	if p.name() == programName {
		return p.Writer.Write(text)
	}
	if _, err := io.WriteString(p.Writer, p.asTyped(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// asTyped is text with the commands of this program as they must be typed.
func (p page) asTyped(text string) string {
	return strings.ReplaceAll(text, "`"+programName+" ", "`"+p.name()+" ")
}

// paragraph prints text, folded; its lines begin with indent, from the second on with two more spaces. A command
// between backquotes stays in one piece, as it is there to be pasted.
func (p page) paragraph(indent, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		words := wordsOf(line)
		for i, word := range words {
			words[i] = p.asTyped(word)
		}
		fmt.Fprintln(p, indent+fold(words, p.width-len(indent), indent+"  "))
	}
}

// labelColumns is how wide a label and the gap after it are.
const labelColumns = 11

// labelled prints a label and, beside it, text, folded.
func (p page) labelled(label, text string) {
	gap := strings.Repeat(" ", labelColumns)
	width := p.width
	if width > 0 {
		width = max(1, width-labelColumns)
	}
	lines := fold(wordsOf(p.asTyped(text)), width, gap)
	fmt.Fprintln(p, label+gap[min(labelColumns-1, utf8.RuneCountInString(label)):]+lines)
}

// wordsOf splits text at single spaces, but not inside of a command of this program, the AWS CLI or redis-cli between backquotes.
func wordsOf(text string) []string {
	const kept = "\x00"
	command := regexp.MustCompile("`(" + programName + "|aws|redis-cli) [^`]*`")
	words := strings.Split(command.ReplaceAllStringFunc(text, func(c string) string { return strings.ReplaceAll(c, " ", kept) }), " ")
	for i, word := range words {
		words[i] = strings.ReplaceAll(word, kept, " ")
	}
	return words
}

// quote prints lines that a job printed. What would move or colour a terminal's cursor is left out, so that no job can
// change what stands around its lines.
func (p page) quote(lines []string) {
	sequence := regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]`) // a control sequence (ECMA-48)
	for _, line := range lines {
		line = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) && r != '\t' {
				return '·'
			}
			return r
		}, sequence.ReplaceAllString(line, ""))
		fmt.Fprintf(p, "    | %s\n", line)
	}
}

// fold joins words by single spaces and breaks lines between them so that they fit into width, as far as the words do;
// further lines begin with indent. Width 0 or less makes one line.
func fold(words []string, width int, indent string) string {
	text := strings.Join(words, " ")
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	var b strings.Builder
	column := 0
	for i, word := range words {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = 2
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}

// shellWord is s as a shell reads it back: quoted where it has to be.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,@%+="
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// columnGap is between the columns of a table.
const columnGap = "  "

// rows prints an aligned table; columns of numbers stand to the right. Where the page is too narrow, the last column is
// left out; where that is not enough, the first gets lines of its own, and further ones are left out as need be.
func (p page) rows(header []string, body [][]string) error {
	table := append([][]string{header}, body...)
	columns := func(from, to int) [][]string {
		cut := make([][]string, len(table))
		for i, row := range table {
			cut[i] = row[from:to]
		}
		return cut
	}
	all := len(header)
	lines, width := align(table)
	fits := func() bool { return p.width <= 0 || width <= p.width }
	if !fits() && all > 1 {
		lines, width = align(columns(0, all-1))
	}
	for to := all; !fits() && to > 1; to-- {
		lines, width = align(columns(1, to))
		width += len(columnGap)
		for i, line := range lines {
			lines[i] = table[i][0] + "\n" + columnGap + line
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(p, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// rowsWithin prints a table like rows. Where the page is too narrow, the columns named in least are left out, the first of
// them first, until it fits.
func (p page) rowsWithin(header []string, body [][]string, least ...string) error {
	table := append([][]string{header}, body...)
	for _, name := range least {
		if _, width := align(table); p.width <= 0 || width <= p.width {
			break
		}
		column := slices.Index(table[0], name)
		for i, row := range table {
			table[i] = slices.Concat(row[:column], row[column+1:])
		}
	}
	return p.rows(table[0], table[1:])
}

// align is a table's lines, the header's first, and how wide they are.
func align(table [][]string) (lines []string, width int) {
	header, body := table[0], table[1:]
	columns := make([]int, len(header))
	right := make([]bool, len(header))
	for i := range header {
		columns[i], right[i] = utf8.RuneCountInString(header[i]), len(body) > 0
		for _, row := range body {
			columns[i] = max(columns[i], utf8.RuneCountInString(row[i]))
			right[i] = right[i] && isNumber(row[i])
		}
		width += columns[i]
	}
	width += len(columnGap) * (len(header) - 1)
	for _, row := range table {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = cell + strings.Repeat(" ", columns[i]-utf8.RuneCountInString(cell))
			if right[i] {
				cells[i] = strings.Repeat(" ", columns[i]-utf8.RuneCountInString(cell)) + cell
			}
		}
		lines = append(lines, strings.Join(cells, columnGap))
	}
	return lines, width
}

// isNumber tells a number or a duration, whose digits belong under one another, from text.
func isNumber(cell string) bool {
	if strings.HasPrefix(cell, "?") || strings.HasPrefix(cell, "≤") { // not known, or not exactly
		return true
	}
	if len(cell) > 1 && (cell[0] == '+' || cell[0] == '-') {
		cell = cell[1:]
	}
	return cell != "" && cell[0] >= '0' && cell[0] <= '9' && !strings.ContainsAny(cell, " -:")
}

// ago is a time as people say it.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	switch d := max(0, now.Sub(t)); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return t.Format(time.DateOnly)
}

// took is how long something lasted, in few digits.
func took(d time.Duration) string {
	switch d = d.Round(100 * time.Millisecond); {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// inWords is a duration in whole seconds, without units that are zero.
func inWords(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// printRemarks says what makes a run no ordinary one, the first few of the reasons; each begins with prefix.
func printRemarks(w page, prefix string, remarks []string) {
	for i, remark := range remarks {
		if i == shownRemarks {
			w.paragraph("  ", fmt.Sprintf("… and %s (`spate status RUN`)", countOf(len(remarks)-i, "further remark")))
			return
		}
		w.paragraph("  ", prefix+remark)
	}
}

// shownRemarks is how many are shown where a run is not what it is about.
const shownRemarks = 5

// countOf is a number of things.
func countOf(n int, what string) string { return fmt.Sprintf("%d %s", n, plural(n, what)) }

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}
