package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one problem of a configuration, where it stands, and what to do about it.
type Error struct {
	// File is the configuration's name as given to [Load] or [Parse].
	File string
	// Line and Column start at 1. Both are 0 when Variable is set.
	Line, Column int
	// Variable is the environment variable that gave the value, empty when the file did.
	Variable string
	// Path is the value's place in the document, such as pools[0].max; empty for the document as a whole.
	Path string
	// Message says what is wrong, and how to put it right.
	Message string
}

// Error gives the place, the path and the message: "spate.yaml:12:5: pools[0].max: must be at least 1".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Variable != "" {
		fmt.Fprintf(&b, "environment variable %s: ", e.Variable)
	} else {
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	}
	if e.Path != "" {
		fmt.Fprintf(&b, "%s: ", e.Path)
	}
	b.WriteString(e.Message)
	return b.String()
}

// place is where a value came from: a position in the file or, if named, an environment variable.
type place struct {
	line, column int
	variable     string
}

// problems collects what is wrong, in any order.
type problems struct {
	file string
	list []*Error
}

func (p *problems) add(at place, path, format string, args ...any) {
	e := &Error{File: p.file, Line: at.line, Column: at.column, Variable: at.variable, Path: path, Message: fmt.Sprintf(format, args...)}
	if at.variable != "" {
		e.Line, e.Column = 0, 0
	}
	p.list = append(p.list, e)
}

// err joins the problems, those of the file in its order, then those of the environment. Nil when there are none.
func (p *problems) err() error {
	slices.SortStableFunc(p.list, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(a.Variable, b.Variable),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
		)
	})
	errs := make([]error, len(p.list))
	for i, e := range p.list {
		errs[i] = e
	}
	return errors.Join(errs...)
}
