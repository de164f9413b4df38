package sheet

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// An InputError is something wrong with a file, and where.
type InputError struct {
	File   string
	Line   int // from 1; 0 when the problem is the whole file
	Column int // in bytes, from 1; 0 when the problem is the whole line
	Reason string
}

// Error formats the position the way compilers do: file:line:column: reason.
func (p *InputError) Error() string {
	switch {
	case p.Line == 0:
		return p.File + ": " + p.Reason
	case p.Column == 0:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Reason)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Reason)
}

// InputErrors are all that is wrong with a file, one a line in its text. There is at least one.
type InputErrors []*InputError

// mostShown bounds the text of InputErrors: a wrong decimal mark makes one in every row.
const mostShown = 50

// Error lists the problems, and how many more there are beyond the first fifty.
func (p InputErrors) Error() string {
	lines := make([]string, 0, mostShown+1)
	for i, problem := range p {
		if i == mostShown {
			lines = append(lines, fmt.Sprintf("%s: and %d more problems", problem.File, len(p)-i))
			break
		}
		lines = append(lines, problem.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, for errors.Is and errors.As.
func (p InputErrors) Unwrap() []error {
	errs := make([]error, len(p))
	for i, problem := range p {
		errs[i] = problem
	}
	return errs
}

// Columns are the names that a header may have.
type Columns struct {
	Required []string
	Optional []string
	Ignored  []string // known to the format, without meaning to the reader
}

// A Sheet is a CSV file being read row by row. Cells that are wrong are remembered as problems and read as zero.
type Sheet struct {
	file     string
	reader   *csv.Reader
	index    map[string]int // of each column, from 0
	width    int
	row      []string
	problems InputErrors
}

// Open checks the file as a whole and its header. Errors are InputErrors.
func Open(file string, content []byte, columns Columns) (*Sheet, error) {
	s := &Sheet{file: file, index: map[string]int{}}
	switch {
	case bytes.HasPrefix(content, []byte("\xef\xbb\xbf")), bytes.HasPrefix(content, []byte("\xff\xfe")), bytes.HasPrefix(content, []byte("\xfe\xff")):
		s.problem(1, 1, "starts with a byte order mark: save as UTF-8 without one")
		return nil, s.Err()
	case len(bytes.TrimSpace(content)) == 0:
		s.problem(0, 0, "is empty: expected a header with %s", strings.Join(columns.Required, ", "))
		return nil, s.Err()
	}
	s.reader = csv.NewReader(bytes.NewReader(content))
	s.reader.FieldsPerRecord = -1
	s.reader.ReuseRecord = true
	if !s.read() {
		return nil, s.Err()
	}
	s.header(columns)
	if len(s.problems) > 0 {
		return nil, s.Err()
	}
	return s, nil
}

func (s *Sheet) header(columns Columns) {
	if len(s.row) == 1 && strings.ContainsAny(s.row[0], ";\t|") {
		s.problem(1, 1, "header %s has one column: expected commas between columns, and points in decimals", Quote(s.row[0]))
		return
	}
	all := slices.Concat(columns.Required, columns.Optional, columns.Ignored)
	for i, name := range s.row {
		_, column := s.reader.FieldPos(i)
		if _, twice := s.index[name]; twice {
			s.problem(1, column, "column %s twice", name)
		}
		s.index[name] = i
		if slices.Contains(all, name) {
			continue
		}
		same := slices.IndexFunc(all, func(known string) bool {
			return strings.EqualFold(known, strings.ReplaceAll(strings.TrimSpace(name), "_", ""))
		})
		if same >= 0 {
			s.problem(1, column, "unknown column %s: is it %s?", Quote(name), all[same])
			continue
		}
		s.problem(1, column, "unknown column %s: known are %s", Quote(name), strings.Join(all, ", "))
	}
	for _, name := range columns.Required {
		if !s.Has(name) && len(s.problems) == 0 {
			s.problem(1, 0, "column %s is missing", name)
		}
	}
	s.width = len(s.row)
}

// Has reports whether the file has a column.
func (s *Sheet) Has(name string) bool {
	_, ok := s.index[name]
	return ok
}

// Next goes to the next row that has the right number of cells. It returns false at the end.
func (s *Sheet) Next() bool {
	for s.read() {
		if len(s.row) == s.width {
			return true
		}
		hint := ""
		if len(s.row) > s.width {
			hint = ": is there a comma inside a number?"
		}
		s.problem(s.Line(), 1, "%d columns, want %d as in the header%s", len(s.row), s.width, hint)
	}
	return false
}

// read reads one line, whatever is wrong with those before it.
func (s *Sheet) read() bool {
	for {
		row, err := s.reader.Read()
		if errors.Is(err, io.EOF) {
			return false
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			if bad.StartLine < bad.Line {
				s.problem(bad.StartLine, 0, "a quotation mark is out of place between here and line %d", bad.Line)
				continue
			}
			s.problem(bad.Line, bad.Column, "a quotation mark is out of place")
			continue
		}
		if err != nil {
			s.problem(0, 0, "cannot be read: %v", err)
			return false
		}
		s.row = row
		return true
	}
}

// Line returns the number of the row's first line, from 1.
func (s *Sheet) Line() int {
	line, _ := s.reader.FieldPos(0)
	return line
}

// Text returns a cell as it is, and "" where the file has no such column.
func (s *Sheet) Text(name string) string {
	i, ok := s.index[name]
	if !ok {
		return ""
	}
	return s.row[i]
}

// Whole reads a cell as a whole number between two bounds.
func (s *Sheet) Whole(name string, least, most int64) int64 {
	value, reason := Whole(s.Text(name))
	if reason == "" && (value < least || value > most) {
		reason = fmt.Sprintf("is outside %d to %d", least, most)
	}
	if reason != "" {
		s.Reject(name, "%s", reason)
		return 0
	}
	return value
}

// Decimal reads a cell as a number between two bounds.
func (s *Sheet) Decimal(name string, least, most float64) float64 {
	value, reason := Decimal(s.Text(name))
	if reason == "" && (value < least || value > most) {
		reason = fmt.Sprintf("is outside %v to %v", least, most)
	}
	if reason != "" {
		s.Reject(name, "%s", reason)
		return 0
	}
	return value
}

// Reject remembers what is wrong with a cell. The text continues a sentence that begins with column and content.
func (s *Sheet) Reject(name, format string, args ...any) {
	line, column := s.Line(), 0
	i, ok := s.index[name]
	if ok {
		line, column = s.reader.FieldPos(i)
	}
	s.problem(line, column, "%s %s %s", name, Quote(s.Text(name)), fmt.Sprintf(format, args...))
}

// OK reports whether nothing has been wrong since so many problems were known; see Count.
func (s *Sheet) OK(since int) bool { return len(s.problems) == since }

// Count returns the number of problems so far.
func (s *Sheet) Count() int { return len(s.problems) }

// Err returns all InputErrors so far, by line and column, or nil.
func (s *Sheet) Err() error {
	if len(s.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(s.problems, func(a, b *InputError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return s.problems
}

func (s *Sheet) problem(line, column int, format string, args ...any) {
	s.problems = append(s.problems, &InputError{File: s.file, Line: line, Column: column, Reason: fmt.Sprintf(format, args...)})
}
