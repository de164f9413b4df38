package job

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing wrong with a file, where it is and what was expected.
type Error struct {
	File    string
	Line    int // from 1; 0 when the whole file is meant
	Column  int // in bytes, from 1; 0 when the whole line is meant
	Message string
}

// Error is "file:line:column: message", without what is not known.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
			if e.Column > 0 {
				fmt.Fprintf(&b, ":%d", e.Column)
			}
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// MaxErrors is how many errors of one file are kept; the rest is counted. A file of a million bad lines would
// otherwise fill the memory with complaints.
const MaxErrors = 10_000

// Errors is everything wrong with a file, or several. Files are read in passes, so List is in the order found; Err sorts.
//
//nolint:errname // it is the plural of Error
type Errors struct {
	List    []*Error
	Omitted int // errors beyond MaxErrors
}

// Add appends an error.
func (e *Errors) Add(err *Error) {
	if len(e.List) >= MaxErrors {
		e.Omitted++
		return
	}
	e.List = append(e.List, err)
}

// Merge appends another file's errors; err may be nil, *Errors, *Error, or anything else, which is kept without a place.
func (e *Errors) Merge(err error) {
	var many *Errors
	var one *Error
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, x := range many.List {
			e.Add(x)
		}
		e.Omitted += many.Omitted
	case errors.As(err, &one):
		e.Add(one)
	default:
		e.Add(&Error{Message: err.Error()})
	}
}

// Len is the number of errors, kept and omitted.
func (e *Errors) Len() int { return len(e.List) + e.Omitted }

// Err is e with its List sorted as Error prints it, or nil when there are none.
func (e *Errors) Err() error {
	if e == nil || e.Len() == 0 {
		return nil
	}
	e.List = e.sorted()
	return e
}

// sorted lists the errors of each file by line and column, the files in the order in which they first occur.
func (e *Errors) sorted() []*Error {
	files := map[string]int{}
	for _, err := range e.List {
		if _, ok := files[err.File]; !ok {
			files[err.File] = len(files)
		}
	}
	return slices.SortedStableFunc(slices.Values(e.List), func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(files[a.File], files[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		)
	})
}

// Error is every error on a line of its own, those of a file by line and column.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, err := range e.sorted() {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(err.Error())
	}
	if e.Omitted > 0 {
		fmt.Fprintf(&b, "\nand %d more", e.Omitted)
	}
	return b.String()
}
