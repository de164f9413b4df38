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
	"github.com/goccy/go-yaml/parser"
)

// maxBytes is more than any configuration needs; beyond it the file is something else.
const maxBytes = 1 << 20

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
		d.add(top, "", "is larger than 1 MiB: this is no configuration")
		return nil
	}
	if at, ok := invalidUTF8(data); ok {
		d.add(at, "", "is not valid UTF-8")
		return nil
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax("", err)
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
