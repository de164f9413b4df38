package job

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlToJSON rewrites a YAML document as JSON and returns where in the YAML each offset of the JSON came from. What
// YAML can say and JSON cannot, and what YAML programs disagree about, is an error.
func yamlToJSON(file string, lines *lineIndex, errs *Errors) (jsontext.Value, func(int64) position) {
	w := &yamlWriter{file: file, lines: lines, errs: errs}
	tokens := lexer.Tokenize(string(lines.data))
	if deep := tooDeep(tokens); deep != nil {
		w.errorf(w.tokenPosition(deep), "more than %d levels deep", maxYAMLDepth)
		return nil, w.locate
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := position{line: 1}
		message := err.Error()
		if syntax, ok := errors.AsType[yaml.Error](err); ok {
			message = syntax.GetMessage()
			at = w.tokenPosition(syntax.GetToken())
		}
		w.errorf(at, "invalid YAML: %s", message)
		return nil, w.locate
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		if _, ok := doc.Body.(*ast.DirectiveNode); ok || doc.Body == nil {
			continue
		}
		if body != nil {
			w.errorf(w.nodePosition(doc.Body), "file holds more than one YAML document: want one")
			return nil, w.locate
		}
		body = doc.Body
	}
	if body == nil {
		w.errorf(position{line: 1}, "file is empty")
		return nil, w.locate
	}
	w.value(body, 0)
	return w.out.Bytes(), w.locate
}

const maxYAMLDepth = 100

// tooDeep finds the token that opens one level too many. The parser calls itself for each level and slows with the
// square of the depth, so this is looked at first: brackets, and block collections opened one behind the other, of which
// each needs at least two columns.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, marks, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			marks, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			marks++
		}
		if brackets > maxYAMLDepth || brackets <= 0 && marks > maxYAMLDepth {
			return t
		}
	}
	return nil
}

// yamlWriter writes JSON and notes where each scalar, key and bracket came from.
type yamlWriter struct {
	file  string
	lines *lineIndex
	errs  *Errors
	out   bytes.Buffer
	marks []mark
}

type mark struct {
	offset int64
	at     position
}

func (w *yamlWriter) locate(offset int64) position {
	i := sort.Search(len(w.marks), func(i int) bool { return w.marks[i].offset > offset })
	if i == 0 {
		return position{1, 1}
	}
	return w.marks[i-1].at
}

func (w *yamlWriter) errorf(at position, format string, args ...any) {
	w.errs.Add(&Error{File: w.file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

func (w *yamlWriter) tokenPosition(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{line: 1}
	}
	return w.lines.inBytes(position{t.Position.Line, t.Position.Column})
}

func (w *yamlWriter) nodePosition(n ast.Node) position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return w.nodePosition(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return w.nodePosition(n.Key)
	}
	return w.tokenPosition(n.GetToken())
}

func (w *yamlWriter) mark(n ast.Node) {
	w.marks = append(w.marks, mark{int64(w.out.Len()), w.nodePosition(n)})
}

func (w *yamlWriter) value(n ast.Node, depth int) {
	if depth > maxYAMLDepth {
		w.refuse(n, fmt.Sprintf("more than %d levels deep", maxYAMLDepth))
		return
	}
	w.mark(n)
	switch n := n.(type) {
	case *ast.MappingNode:
		w.mapping(n.Values, depth)
	case *ast.MappingValueNode:
		w.mapping([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		w.out.WriteByte('[')
		for i, element := range n.Values {
			if i > 0 {
				w.out.WriteByte(',')
			}
			w.value(element, depth+1)
		}
		w.out.WriteByte(']')
	case *ast.NullNode:
		w.out.WriteString("null")
	case *ast.BoolNode:
		w.out.WriteString(strconv.FormatBool(n.Value))
	case *ast.IntegerNode, *ast.FloatNode:
		w.number(n)
	case *ast.StringNode:
		if n.Token.Type == token.StringType && looksNumeric(n.Value) {
			w.number(n)
			return
		}
		w.str(n, n.Value)
	case *ast.LiteralNode:
		w.str(n, n.Value.Value)
	case *ast.InfinityNode, *ast.NanNode:
		w.refuse(n, "infinity and NaN have no place in JSON: put quotes around them if text is meant")
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		w.refuse(n, noReferences)
	case *ast.TagNode:
		w.refuse(n, noTags)
	default:
		w.refuse(n, fmt.Sprintf("%s is not supported here", strings.ToLower(n.Type().String())))
	}
}

const (
	noReferences = "anchors, aliases and merge keys are not supported: write the value out"
	noTags       = "tags are not supported: write the plain value"
)

// refuse reports a value and writes null in its place.
func (w *yamlWriter) refuse(n ast.Node, why string) {
	w.errorf(w.nodePosition(n), "%s", why)
	w.out.WriteString("null")
}

func (w *yamlWriter) mapping(values []*ast.MappingValueNode, depth int) {
	w.out.WriteByte('{')
	var seen names
	empty := true
	for _, v := range values {
		name, why := keyText(v.Key)
		switch {
		case why != "":
			w.errorf(w.nodePosition(v.Key), "%s", why)
			continue
		case !seen.add(name):
			w.errorf(w.nodePosition(v.Key), "name %q stands twice in one object", name)
			continue
		}
		if !empty {
			w.out.WriteByte(',')
		}
		empty = false
		w.mark(v.Key)
		w.str(v.Key, name)
		w.out.WriteByte(':')
		w.value(v.Value, depth+1)
	}
	w.out.WriteByte('}')
}

// keyText is the text of a mapping's key, or why it is none. Dates, numbers and words such as "on" are names here, as
// they stand in the file.
func keyText(key ast.MapKeyNode) (text, why string) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, ""
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return key.GetToken().Value, ""
	case *ast.MergeKeyNode, *ast.AnchorNode, *ast.AliasNode:
		return "", noReferences
	case *ast.TagNode:
		return "", noTags
	}
	return "", "want a plain name before the colon"
}

func (w *yamlWriter) str(n ast.Node, s string) {
	text, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		w.refuse(n, "text is not valid UTF-8")
		return
	}
	w.out.Write(text)
}

func (w *yamlWriter) number(n ast.Node) {
	text, why := yamlNumber(n.GetToken().Value)
	if why != "" {
		w.refuse(n, why)
		return
	}
	w.out.WriteString(text)
}
