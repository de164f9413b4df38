package model

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"spate/examples/reinsurance/sheet"
)

// A table is a CSV file of plain fields (no quotes, no spaces) being read line by line. Fields that are wrong are
// remembered as problems and read as zero, so that one look at a file tells all that is wrong with it.
type table struct {
	file     string
	header   string
	rest     []byte
	line     int      // of fields, from 1
	fields   [][]byte // of the line, as many as the header has
	last     Currency // the code read last, so that equal ones share their memory
	problems sheet.InputErrors
	before   int // problems of the lines before
}

// openTable checks what concerns the whole file. Errors are *InputError.
func openTable(file string, content []byte, header string) (*table, error) {
	t := &table{file: file, header: header, line: 1}
	if err := checkFile(file, content, header); err != nil {
		return nil, err
	}
	first, rest, _ := bytes.Cut(content, []byte{'\n'})
	if string(first) != header {
		return nil, &InputError{File: file, Line: 1, Column: 1, Reason: fmt.Sprintf("header %s, want %q", sheet.Quote(first), header)}
	}
	t.rest = rest
	t.fields = make([][]byte, strings.Count(header, ",")+1)
	return t, nil
}

// checkFile reports an encoding with a byte order mark, an empty file and one that was cut off.
func checkFile(file string, content []byte, header string) error {
	switch {
	case bytes.HasPrefix(content, []byte("\xef\xbb\xbf")), bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		return &InputError{File: file, Line: 1, Column: 1, Reason: "starts with a byte order mark: save as plain UTF-8"}
	case len(content) == 0:
		return &InputError{File: file, Reason: fmt.Sprintf("is empty: expected the header %q", header)}
	case content[len(content)-1] != '\n':
		return &InputError{File: file, Line: bytes.Count(content, []byte{'\n'}) + 1, Reason: "the last line has no end: the file may have been cut off"}
	}
	return nil
}

// next splits the next line that has the right number of fields. It returns false at the end.
func (t *table) next() bool {
	for len(t.rest) > 0 {
		t.line++
		got := t.split()
		if got == len(t.fields) {
			t.before = len(t.problems)
			return true
		}
		t.problem(1, "%d columns, want %d (%s)", got, len(t.fields), t.header)
	}
	return false
}

// split takes the next line and returns how many fields it has.
func (t *table) split() (got int) {
	start := 0
	for i, c := range t.rest {
		if c != ',' && c != '\n' {
			continue
		}
		if got < len(t.fields) {
			t.fields[got] = t.rest[start:i]
		}
		got, start = got+1, i+1
		if c == '\n' {
			break
		}
	}
	t.rest = t.rest[start:]
	return got
}

// good reports whether nothing has been wrong with the line so far.
func (t *table) good() bool { return len(t.problems) == t.before }

// err returns sheet.InputErrors, all that is wrong with the file so far, or nil.
func (t *table) err() error {
	if len(t.problems) == 0 {
		return nil
	}
	return t.problems
}

// reject remembers what is wrong with one field of the line.
func (t *table) reject(field int, format string, args ...any) {
	column := 1
	for _, before := range t.fields[:field] {
		column += len(before) + 1
	}
	t.problem(column, format, args...)
}

func (t *table) problem(column int, format string, args ...any) {
	t.problems = append(t.problems, &InputError{File: t.file, Line: t.line, Column: column, Reason: fmt.Sprintf(format, args...)})
}

func (t *table) name(field int) string {
	return strings.Split(t.header, ",")[field]
}

// amount reads a field as a whole number of at most MaxAmount.
func (t *table) amount(field int) int64 {
	value, reason := sheet.Whole(t.fields[field])
	if reason != "" {
		t.reject(field, "%s %s %s", t.name(field), sheet.Quote(t.fields[field]), reason)
	}
	return value
}

// decimal reads a field as a number with a decimal point.
func (t *table) decimal(field int) float64 {
	value, reason := sheet.Decimal(t.fields[field])
	if reason != "" {
		t.reject(field, "%s %s %s", t.name(field), sheet.Quote(t.fields[field]), reason)
	}
	return value
}

// currency reads a field as a currency code.
func (t *table) currency(field int) Currency {
	text := t.fields[field]
	if len(text) > 0 && string(text) == string(t.last) {
		return t.last
	}
	if !sheet.IsCurrency(text) {
		t.reject(field, "%s %s is not a currency code such as USD", t.name(field), sheet.Quote(text))
		return ""
	}
	t.last = Currency(text)
	return t.last
}

func appendRow(out []byte, fields ...int64) []byte {
	for i, field := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, field, 10)
	}
	return append(out, '\n')
}
