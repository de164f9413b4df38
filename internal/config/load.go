package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds beyond which a file is no configuration, and would only cost the parser time and memory.
const (
	maxBytes = 256 << 10
	maxDepth = 32 // of lists and mappings in one another; the format itself needs 4
)

// Load reads the file at path, applies the SPATE_ variables of environ (each "NAME=value", as [os.Environ] gives them),
// fills in defaults and validates. The error joins an [*Error] for every problem found.
func Load(path string, environ []string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data, environ)
}

// Parse is [Load] for a document already read. Messages call it by name, and a params_schema is looked for relative to
// name's directory.
func Parse(name string, data []byte, environ []string) (*Config, error) {
	dir := filepath.Dir(name)
	return parse(name, data, environ, func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return os.ReadFile(path)
	})
}

func parse(name string, data []byte, environ []string, readFile func(string) ([]byte, error)) (*Config, error) {
	d := &decoder{problems: problems{file: name}, places: map[string]place{}, rejected: map[string]bool{}}
	var c Config
	c.setDefaults()
	if body := d.document(data); body != nil {
		d.value("", body, reflect.ValueOf(&c).Elem())
		d.override(&c, environ)
		v := &validator{decoder: d, readFile: readFile}
		v.config(&c)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// document is the one YAML document of a file. Nil after a problem.
func (d *decoder) document(data []byte) ast.Node {
	top := place{line: 1, column: 1}
	if len(data) > maxBytes {
		d.add(top, "", "is larger than 256 KiB: this is no configuration")
		return nil
	}
	if at, ok := invalidUTF8(data); ok {
		d.add(at, "", "is not valid UTF-8")
		return nil
	}
	file, ok := d.parse("", string(data))
	if !ok {
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body != nil:
			d.add(d.place(start(doc.Body)), "", "a second document begins here: a configuration is one")
			return nil
		default:
			body = doc.Body
		}
	}
	if body == nil {
		d.add(top, "", "is empty")
	}
	return body
}

// parse reads YAML that is not nested absurdly, whose errors belong to the value at path.
func (d *decoder) parse(path, text string) (*ast.File, bool) {
	tokens := lexer.Tokenize(text)
	if t := tooDeep(tokens); t != nil {
		d.add(d.place(t), path, "is nested more than %d levels deep", maxDepth)
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(path, err)
		return nil, false
	}
	return file, true
}

// tooDeep is the token with which nesting passes maxDepth. Blocks are counted by the items and keys that open on one
// line; those that open on lines of their own are bounded by the size of the file.
func tooDeep(tokens token.Tokens) *token.Token {
	flow, line, inLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			inLine++
		}
		if flow > maxDepth || inLine > maxDepth {
			return t
		}
	}
	return nil
}

// syntax notes the parser's complaint about the value at path.
func (d *decoder) syntax(path string, err error) {
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		d.add(d.place(syntax.Token), path, "%s", syntax.Message)
		return
	}
	d.add(place{line: 1, column: 1, variable: d.variable}, path, "%s", err)
}

// invalidUTF8 finds the first byte that is not UTF-8. Columns count characters.
func invalidUTF8(data []byte) (place, bool) {
	at := place{line: 1, column: 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return at, true
		case r == '\n':
			at.line, at.column = at.line+1, 1
		default:
			at.column++
		}
		data = data[size:]
	}
	return place{}, false
}
