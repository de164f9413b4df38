package job

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxExactInteger is 2⁵³: beyond it a float64, and so canonical JSON, cannot tell neighbouring integers apart.
const maxExactInteger = 1 << 53

// decoder reads the formats of this package from JSON, going on after each error of meaning, so that all are found. An
// error of syntax ends it.
type decoder struct {
	file   string
	dec    *jsontext.Decoder
	data   []byte
	locate func(offset int64) position
	errs   *Errors
	failed bool // syntax: nothing more can be read

	reported map[position]bool // places with an error that was found before
}

func newDecoder(file string, data []byte, errs *Errors, locate func(int64) position) *decoder {
	return &decoder{
		file: file, dec: jsontext.NewDecoder(bytes.NewBuffer(data)), data: data, locate: locate, errs: errs,
		reported: map[position]bool{},
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
	what := syntactic.Err.Error()
	if errors.Is(err, jsontext.ErrDuplicateName) {
		what = fmt.Sprintf("name %q stands twice in one object", lastPointer(syntactic.JSONPointer))
	} else {
		what = "invalid JSON: " + what
	}
	d.errorf(d.locate(syntactic.ByteOffset), "%s", what)
}

func lastPointer(p jsontext.Pointer) string { return p.LastToken() }

// object reads an object and calls member with each name, whose value is next. member must read the value. It
// returns whether there was an object, read to its end.
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
	for !d.failed && d.dec.PeekKind() != '}' {
		at := d.position()
		token, err := d.dec.ReadToken()
		if err != nil {
			d.syntax(err)
			return false
		}
		member(token.String(), at)
	}
	d.close()
	return !d.failed
}

func (d *decoder) array(what string, element func()) {
	if d.failed {
		return
	}
	at := d.position()
	if d.dec.PeekKind() != '[' {
		d.mismatch(at, what, "a list")
		return
	}
	if _, err := d.dec.ReadToken(); err != nil {
		d.syntax(err)
		return
	}
	for !d.failed && d.dec.PeekKind() != ']' {
		if d.dec.PeekKind() == 0 {
			_, err := d.dec.ReadToken()
			d.syntax(err)
			return
		}
		element()
	}
	d.close()
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
	d.errorf(at, "%s: want %s, have %s", what, want, kindName(value.Kind()))
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

func (d *decoder) str() string {
	if d.failed {
		return ""
	}
	at := d.position()
	if d.dec.PeekKind() != '"' {
		d.mismatch(at, "value", "a string")
		return ""
	}
	token, err := d.dec.ReadToken()
	if err != nil {
		d.syntax(err)
		return ""
	}
	return token.String()
}

func (d *decoder) checkedString(check func(string) error) string {
	at := d.position()
	before := d.errs.Len()
	s := d.str()
	if d.failed || d.errs.Len() > before {
		return s
	}
	if err := check(s); err != nil {
		d.errorf(at, "%v", err)
	}
	return s
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
	start := d.dec.InputOffset() - int64(len(value))
	for _, bad := range badNumbers(value) {
		d.errorf(d.locate(start+bad.offset), "%s", bad.message)
	}
	return value.Clone()
}

type badNumber struct {
	offset  int64
	message string
}

// badNumbers finds the numbers in a valid JSON value that a float64 does not hold.
func badNumbers(value jsontext.Value) []badNumber {
	var bad []badNumber
	dec := jsontext.NewDecoder(bytes.NewBuffer(value))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return bad
		}
		if token.Kind() != '0' {
			continue
		}
		text := token.String()
		if message := checkNumber(text); message != "" {
			bad = append(bad, badNumber{dec.InputOffset() - int64(len(text)), message})
		}
	}
}

func checkNumber(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || math.IsInf(f, 0):
		return fmt.Sprintf("number %s is beyond what a 64-bit float can hold: write it as a string", text)
	case !strings.ContainsAny(text, ".eE") && math.Abs(f) > maxExactInteger:
		return fmt.Sprintf("integer %s is beyond 2^53, where numbers lose digits: write it as a string", text)
	}
	return ""
}

// unknown reports a field that does not exist and skips its value.
func (d *decoder) unknown(what, name string, at position, known ...string) {
	hint := ""
	if near := nearest(name, known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	} else {
		hint = "; known are " + strings.Join(known, ", ")
	}
	d.errorf(at, "unknown field %q of a %s%s", name, what, hint)
	if err := d.dec.SkipValue(); err != nil {
		d.syntax(err)
	}
}

// end refuses anything behind the value.
func (d *decoder) end() {
	if d.failed {
		return
	}
	if kind := d.dec.PeekKind(); kind != 0 {
		d.errorf(d.position(), "invalid JSON: want nothing behind the object, have %s", kindName(kind))
		d.failed = true
		return
	}
	if rest := bytes.TrimSpace(d.data[min(d.dec.InputOffset(), int64(len(d.data))):]); len(rest) > 0 {
		d.errorf(d.position(), "invalid JSON: want nothing behind the object, have %q", rest[:min(len(rest), 10)])
		d.failed = true
	}
}

// nearest is the known word that a misspelt one most likely stands for, or "".
func nearest(word string, known []string) string {
	type scored struct {
		word     string
		distance int
	}
	var best []scored
	for _, k := range known {
		if dist := editDistance(strings.ToLower(word), k); dist <= max(1, len(k)/3) {
			best = append(best, scored{k, dist})
		}
	}
	if len(best) == 0 {
		return ""
	}
	return slices.MinFunc(best, func(a, b scored) int { return cmp.Compare(a.distance, b.distance) }).word
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
