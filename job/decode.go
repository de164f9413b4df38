package job

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// decoder reads the formats of this package from JSON, going on after each error of meaning, so that all are found. An
// error of syntax ends it.
type decoder struct {
	file   string
	dec    *jsontext.Decoder
	data   []byte
	locate func(offset int64) position
	errs   *Errors
	failed bool // syntax: nothing more can be read

	reported map[position]bool // places with an error that was found before; nil when there are none
}

func newDecoder(file string, data []byte, errs *Errors, locate func(int64) position) *decoder {
	return &decoder{
		// Names that stand twice are found by object and params, which can go on behind them.
		file: file, dec: jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true)), data: data,
		locate: locate, errs: errs,
	}
}

func (d *decoder) errorf(at position, format string, args ...any) {
	if d.reported[at] {
		return
	}
	d.errs.Add(&Error{File: d.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// position is where the next token begins.
func (d *decoder) position() position {
	offset := d.dec.InputOffset()
	for offset < int64(len(d.data)) && strings.IndexByte(" \t\r\n,:", d.data[offset]) >= 0 {
		offset++
	}
	return d.locate(offset)
}

// syntax records an error of the JSON itself and ends the reading.
func (d *decoder) syntax(err error) {
	if d.failed {
		return
	}
	d.failed = true
	var syntactic *jsontext.SyntacticError
	if !errors.As(err, &syntactic) {
		d.errorf(d.position(), "invalid JSON: it ends too early")
		return
	}
	d.errorf(d.locate(syntactic.ByteOffset), "invalid JSON: %v", syntactic.Err)
}

// names finds the names that stand twice in one object.
type names struct {
	few   [8]string // the first ones: most objects have no more
	count int       // of few
	many  map[string]bool
}

// add returns false for a name that was added before.
func (n *names) add(name string) bool {
	switch {
	case slices.Contains(n.few[:n.count], name) || n.many[name]:
		return false
	case n.count < len(n.few):
		n.few[n.count] = name
		n.count++
		return true
	case n.many == nil:
		n.many = map[string]bool{}
	}
	n.many[name] = true
	return true
}

// object reads an object and calls member with each name, whose value is next. member must read the value. A name that
// stands twice is an error, and its second value is skipped. It returns whether there was an object, read to its end.
func (d *decoder) object(what string, member func(name string, at position)) bool {
	if d.failed {
		return false
	}
	at := d.position()
	if kind := d.dec.PeekKind(); kind != '{' {
		d.mismatch(at, what, "an object")
		return false
	}
	if _, err := d.dec.ReadToken(); err != nil {
		d.syntax(err)
		return false
	}
	var seen names
	for !d.failed && d.dec.PeekKind() != '}' {
		at := d.position()
		token, err := d.dec.ReadToken()
		if err != nil {
			d.syntax(err)
			return false
		}
		name := token.String()
		if !seen.add(name) {
			d.errorf(at, "name %q stands twice in one object", name)
			d.skip()
			continue
		}
		member(name, at)
	}
	d.close()
	return !d.failed
}

// array reads a list and calls element before each of its values. element must read the value. It returns whether there
// was a list, read to its end.
func (d *decoder) array(what string, element func()) bool {
	if d.failed {
		return false
	}
	at := d.position()
	if d.dec.PeekKind() != '[' {
		d.mismatch(at, what, "a list")
		return false
	}
	if _, err := d.dec.ReadToken(); err != nil {
		d.syntax(err)
		return false
	}
	for !d.failed && d.dec.PeekKind() != ']' {
		if d.dec.PeekKind() == 0 {
			_, err := d.dec.ReadToken()
			d.syntax(err)
			return false
		}
		element()
	}
	d.close()
	return !d.failed
}

func (d *decoder) skip() {
	if err := d.dec.SkipValue(); err != nil {
		d.syntax(err)
	}
}

func (d *decoder) close() {
	if d.failed {
		return
	}
	if _, err := d.dec.ReadToken(); err != nil {
		d.syntax(err)
	}
}

// mismatch skips a value of the wrong kind and says so.
func (d *decoder) mismatch(at position, what, want string) {
	value, err := d.dec.ReadValue()
	if err != nil {
		d.syntax(err)
		return
	}
	var hint string
	if kind := value.Kind(); want == "a string" && (kind == '0' || kind == 't' || kind == 'f') {
		hint = ": put quotes around it"
	}
	d.errorf(at, "%s: want %s, have %s%s", what, want, kindName(value.Kind()), hint)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return "nothing"
}

// str reads a string; what names it in errors. It returns whether there was one.
func (d *decoder) str(what string) (string, bool) {
	if d.failed {
		return "", false
	}
	at := d.position()
	if d.dec.PeekKind() != '"' {
		d.mismatch(at, what, "a string")
		return "", false
	}
	token, err := d.dec.ReadToken()
	if err != nil {
		d.syntax(err)
		return "", false
	}
	return token.String(), true
}

// boolean reads true or false; what names it in errors.
func (d *decoder) boolean(what string) bool {
	if d.failed {
		return false
	}
	at := d.position()
	if kind := d.dec.PeekKind(); kind != 't' && kind != 'f' {
		d.mismatch(at, what, "true or false")
		return false
	}
	token, err := d.dec.ReadToken()
	if err != nil {
		d.syntax(err)
		return false
	}
	return token.Bool()
}

// checkedString reads a string that check accepts. A string that it refuses is returned all the same, with false.
func (d *decoder) checkedString(what string, check func(string) error) (string, bool) {
	at := d.position()
	s, ok := d.str(what)
	if !ok {
		return "", false
	}
	if err := check(s); err != nil {
		message := err.Error()
		if !strings.HasPrefix(message, what+" ") { // "id", not "id: id"
			message = what + ": " + message
		}
		d.errorf(at, "%s", message)
		return s, false
	}
	return s, true
}

// params reads an object of any JSON, refusing numbers that would not survive canonicalisation.
func (d *decoder) params() jsontext.Value {
	if d.failed {
		return nil
	}
	at := d.position()
	if d.dec.PeekKind() != '{' {
		d.mismatch(at, "params", "an object")
		return nil
	}
	value, err := d.dec.ReadValue()
	if err != nil {
		d.syntax(err)
		return nil
	}
	value = value.Clone()
	d.checkParams(value, d.dec.InputOffset()-int64(len(value)))
	return value
}

// checkParams refuses what canonical JSON would lose: digits of numbers, and the first of two equal names.
func (d *decoder) checkParams(value jsontext.Value, start int64) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(value))
	for {
		token, err := dec.ReadToken()
		var syntactic *jsontext.SyntacticError
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntactic):
			d.errorf(d.locate(start+syntactic.ByteOffset), "name %q stands twice in one object", syntactic.JSONPointer.LastToken())
			return
		case err != nil:
			return // the end: the value was read before
		case token.Kind() == '0':
			text := token.String()
			if why := checkNumber(text); why != "" {
				d.errorf(d.locate(start+dec.InputOffset()-int64(len(text))), "%s", why)
			}
		}
	}
}

// unknown reports a field that does not exist and skips its value.
func (d *decoder) unknown(what, name string, at position, known ...string) {
	var hint string
	if near := Nearest(name, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	} else {
		hint = "; known are " + strings.Join(known, ", ")
	}
	d.errorf(at, "unknown field %q of %s%s", clip(name), what, hint)
	d.skip()
}

// end refuses anything behind the value.
func (d *decoder) end() {
	if d.failed {
		return
	}
	if rest := bytes.TrimSpace(d.data[min(d.dec.InputOffset(), int64(len(d.data))):]); len(rest) > 0 {
		d.errorf(d.position(), "invalid JSON: want nothing behind the object, have %q", rest[:min(len(rest), 20)])
		d.failed = true
	}
}
