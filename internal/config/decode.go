package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxInteger is 2⁵³: up to it, every program that reads JSON or YAML agrees on an integer.
const maxInteger = 1 << 53

// decoder fills values from YAML nodes by their type, notes where each came from and goes on after a problem.
type decoder struct {
	problems
	// places is where the value of each path stands, for problems found later.
	places map[string]place
	// rejected are the paths whose value could not be read: nothing more is said about them.
	rejected map[string]bool
	// variable is set while the value of an environment variable is decoded.
	variable string
}

// defaulter is a struct whose fields have values before anything is read.
type defaulter interface{ setDefaults() }

func (d *decoder) place(t *token.Token) place {
	if d.variable != "" || t == nil || t.Position == nil {
		return place{line: 1, column: 1, variable: d.variable}
	}
	return place{line: max(1, t.Position.Line), column: max(1, t.Position.Column)}
}

// reject notes a problem with the value at path itself, which therefore remains unknown.
func (d *decoder) reject(at place, path, format string, args ...any) {
	d.add(at, path, format, args...)
	d.rejected[path] = true
}

// start is the first token of a node.
func start(n ast.Node) *token.Token {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	return n.GetToken()
}

// value decodes n into v. A null leaves v as it is.
func (d *decoder) value(path string, n ast.Node, v reflect.Value) {
	at := d.place(start(n))
	d.places[path] = at
	switch n.(type) {
	case *ast.NullNode:
		return
	case *ast.AnchorNode, *ast.AliasNode:
		d.reject(at, path, "anchors and aliases are not supported: write the value here")
		return
	case *ast.TagNode:
		d.reject(at, path, "tags are not supported: write the value without %s", n.GetToken().Value)
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d.duration(path, n, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(path, n, v)
	case reflect.Slice:
		d.list(path, n, v)
	case reflect.Map:
		d.mapping(path, n, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(path, n, v.Elem())
	case reflect.Bool:
		if b, ok := n.(*ast.BoolNode); ok {
			v.SetBool(b.Value)
			return
		}
		d.reject(at, path, "must be true or false, not %s", describe(n))
	case reflect.Int:
		d.integer(path, n, v)
	case reflect.Float64:
		d.decimal(path, n, v)
	case reflect.String:
		if s, ok := text(n); ok {
			v.SetString(s)
			return
		}
		d.reject(at, path, "must be text, not %s%s", describe(n), quoteHint(n))
	default:
		panic(fmt.Sprintf("config: no decoding for %s", v.Type()))
	}
}

// pairs are the keys and values of a mapping, without those that repeat a key or have none that is text.
func (d *decoder) pairs(path string, n ast.Node) ([]*ast.MappingValueNode, bool) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.reject(d.place(start(n)), path, "must be a mapping of keys to values, not %s", describe(n))
		return nil, false
	}
	first := map[string]place{}
	var kept []*ast.MappingValueNode
	for _, pair := range values {
		at := d.place(pair.Key.GetToken())
		switch pair.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		case *ast.MergeKeyNode:
			d.add(at, path, "merge keys are not supported: write the values here")
			continue
		default:
			d.add(at, path, "a key must be plain text")
			continue
		}
		key := pair.Key.GetToken().Value
		if before, ok := first[key]; ok {
			d.add(at, path, "key %q was given before, in line %d", key, before.line)
			continue
		}
		first[key] = at
		kept = append(kept, pair)
	}
	return kept, true
}

func (d *decoder) structure(path string, n ast.Node, v reflect.Value) {
	pairs, ok := d.pairs(path, n)
	if !ok {
		return
	}
	fields := fieldsOf(v.Type())
	missing := slices.Clone(fields.names)
	for _, pair := range pairs {
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == pair.Key.GetToken().Value })
	}
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		index, ok := fields.index[key]
		if !ok {
			at := d.place(pair.Key.GetToken())
			if meant := nearest(key, missing); meant != "" {
				d.add(at, path, "unknown key %q; did you mean %q?", key, meant)
				d.rejected[join(path, meant)] = true // it is not missing, it is misspelt
			} else {
				d.add(at, path, "unknown key %q; valid here: %s", key, strings.Join(fields.names, ", "))
			}
			continue
		}
		d.value(join(path, key), pair.Value, v.Field(index))
	}
}

func (d *decoder) mapping(path string, n ast.Node, v reflect.Value) {
	pairs, ok := d.pairs(path, n)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		element := fresh(v.Type().Elem())
		d.value(join(path, key), pair.Value, element)
		if _, null := pair.Value.(*ast.NullNode); null && element.Kind() == reflect.String {
			d.reject(d.place(pair.Value.GetToken()), join(path, key), `must be text; for an empty one write ""`)
		}
		v.SetMapIndex(reflect.ValueOf(key), element)
	}
}

func (d *decoder) list(path string, n ast.Node, v reflect.Value) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		d.reject(d.place(start(n)), path, "must be a list, not %s", describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values)))
	for i, item := range sequence.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		element := fresh(v.Type().Elem())
		if _, null := item.(*ast.NullNode); null {
			d.reject(d.place(item.GetToken()), at, "is empty: give a value or remove the item")
		}
		d.value(at, item, element)
		v.Index(i).Set(element)
	}
}

func (d *decoder) integer(path string, n ast.Node, v reflect.Value) {
	at := d.place(start(n))
	if s, ok := n.(*ast.StringNode); ok && isLongInteger(s) {
		d.reject(at, path, "must be an integer within ±2⁵³")
		return
	}
	integer, ok := n.(*ast.IntegerNode)
	if !ok {
		d.reject(at, path, "must be a whole number, not %s", describe(n))
		return
	}
	if integer.Token.Type != token.IntegerType {
		d.reject(at, path, "must be a decimal number: %s is read differently by different programs", integer.Token.Value)
		return
	}
	switch i := integer.Value.(type) {
	case int64:
		if -maxInteger <= i && i <= maxInteger {
			v.SetInt(i)
			return
		}
	case uint64:
		if i <= maxInteger {
			v.SetInt(int64(i))
			return
		}
	}
	d.reject(at, path, "must be an integer within ±2⁵³")
}

// decimal reads a number that need not be whole.
func (d *decoder) decimal(path string, n ast.Node, v reflect.Value) {
	switch number := n.(type) {
	case *ast.FloatNode:
		v.SetFloat(number.Value)
		return
	case *ast.IntegerNode:
		whole := reflect.New(reflect.TypeFor[int]()).Elem()
		d.integer(path, n, whole)
		v.SetFloat(float64(whole.Int()))
		return
	}
	d.reject(d.place(start(n)), path, "must be a number, not %s", describe(n))
}

func (d *decoder) duration(path string, n ast.Node, v reflect.Value) {
	at := d.place(start(n))
	s, ok := text(n)
	if !ok {
		d.reject(at, path, "must be a duration with its unit, such as 90s, 15m or 30d, not %s", describe(n))
		return
	}
	duration, err := ParseDuration(s)
	if err != nil {
		d.reject(at, path, "%q: %s", s, err)
		return
	}
	v.SetInt(int64(duration))
}

// fresh is a settable value of a type, with its defaults.
func fresh(t reflect.Type) reflect.Value {
	pointer := reflect.New(t)
	if d, ok := reflect.TypeAssert[defaulter](pointer); ok {
		d.setDefaults()
	}
	return pointer.Elem()
}

// fields are the keys of a struct in the order of its fields.
type fields struct {
	names []string
	index map[string]int
}

func fieldsOf(t reflect.Type) fields {
	f := fields{index: map[string]int{}}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" {
			f.names = append(f.names, name)
			f.index[name] = i
		}
	}
	return f
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// text is the value of a node that YAML reads as a string.
func text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, !isLongInteger(n)
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

var digits = regexp.MustCompile(`^[-+]?[0-9][0-9_]*$`)

// isLongInteger tells whether a node is an unquoted integer too long for the parser, which then calls it a string.
func isLongInteger(n *ast.StringNode) bool {
	return n.Token.Type == token.StringType && digits.MatchString(n.Value)
}

// describe says in a person's words what a node is.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return "the truth value " + n.Token.Value
	case *ast.StringNode:
		if isLongInteger(n) {
			return "the number " + n.Value
		}
		const most = 40 // characters
		if utf8.RuneCountInString(n.Value) > most {
			return fmt.Sprintf("the text %q…", string([]rune(n.Value)[:most]))
		}
		return fmt.Sprintf("the text %q", n.Value)
	case *ast.LiteralNode:
		return "a block of text"
	}
	return strings.ToLower(n.Type().String())
}

// quoteHint says how to make text of a scalar that YAML reads as something else.
func quoteHint(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		return ""
	}
	return fmt.Sprintf("; write it in quotes: %q", n.GetToken().Value)
}
