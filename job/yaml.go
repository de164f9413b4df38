package job

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlToJSON rewrites a YAML document as JSON, so that one decoder serves both, and returns where in the YAML each
// offset of the JSON came from. JSON is YAML and passes through.
func yamlToJSON(file string, data []byte, errs *Errors) (jsontext.Value, func(int64) position) {
	w := &yamlWriter{file: file, errs: errs}
	tree, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := position{line: 1}
		message := err.Error()
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			message = syntax.GetMessage()
			if token := syntax.GetToken(); token != nil && token.Position != nil {
				at = position{token.Position.Line, token.Position.Column}
			}
		}
		w.errorf(at, "invalid YAML: %s", message)
		return nil, w.locate
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			w.errorf(nodePosition(doc.Body), "file holds more than one YAML document: want one")
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

// yamlWriter writes JSON and notes where each scalar, key and bracket came from.
type yamlWriter struct {
	file  string
	errs  *Errors
	out   bytes.Buffer
	marks []mark
}

type mark struct {
	offset int64
	at     position
}

const maxYAMLDepth = 100

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

func nodePosition(n ast.Node) position {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		return nodePosition(m.Values[0].Key)
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return nodePosition(m.Key)
	}
	token := n.GetToken()
	if token == nil || token.Position == nil {
		return position{line: 1}
	}
	return position{token.Position.Line, token.Position.Column}
}

func (w *yamlWriter) mark(n ast.Node) {
	w.marks = append(w.marks, mark{int64(w.out.Len()), nodePosition(n)})
}

func (w *yamlWriter) value(n ast.Node, depth int) {
	if depth > maxYAMLDepth {
		w.errorf(nodePosition(n), "more than %d levels deep", maxYAMLDepth)
		w.out.WriteString("null")
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
	case *ast.IntegerNode:
		w.integer(n)
	case *ast.FloatNode:
		w.float(n)
	case *ast.StringNode:
		w.str(n, n.Value)
	case *ast.LiteralNode:
		w.str(n, n.Value.Value)
	case *ast.InfinityNode, *ast.NanNode:
		w.refuse(n, "infinity and NaN have no place in JSON: write them as a string if the program wants them")
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		w.refuse(n, "anchors, aliases and merge keys are not supported: write the value out")
	case *ast.TagNode:
		w.refuse(n, "tags are not supported: write the plain value")
	default:
		w.refuse(n, fmt.Sprintf("%s is not supported here", strings.ToLower(n.Type().String())))
	}
}

func (w *yamlWriter) refuse(n ast.Node, why string) {
	w.errorf(nodePosition(n), "%s", why)
	w.out.WriteString("null")
}

func (w *yamlWriter) mapping(values []*ast.MappingValueNode, depth int) {
	w.out.WriteByte('{')
	seen := map[string]bool{}
	for _, v := range values {
		name, ok := keyText(v.Key)
		switch {
		case !ok:
			w.errorf(nodePosition(v.Key), "want a plain name before the colon")
			continue
		case seen[name]:
			w.errorf(nodePosition(v.Key), "name %q stands twice in one object", name)
			continue
		}
		if len(seen) > 0 {
			w.out.WriteByte(',')
		}
		seen[name] = true
		w.mark(v.Key)
		w.str(v.Key, name)
		w.out.WriteByte(':')
		w.value(v.Value, depth+1)
	}
	w.out.WriteByte('}')
}

// keyText is the text of a mapping's key. Numbers and words such as "on" are names here, as they stand in the file.
func keyText(key ast.MapKeyNode) (string, bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return key.GetToken().Value, true
	}
	return "", false
}

func (w *yamlWriter) str(n ast.Node, s string) {
	text, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		w.refuse(n, "text is not valid UTF-8")
		return
	}
	w.out.Write(text)
}

func (w *yamlWriter) integer(n *ast.IntegerNode) {
	switch v := n.Value.(type) {
	case int64:
		w.out.WriteString(strconv.FormatInt(v, 10))
	case uint64:
		w.out.WriteString(strconv.FormatUint(v, 10))
	default:
		w.refuse(n, fmt.Sprintf("number %s is not understood", n.GetToken().Value))
	}
}

func (w *yamlWriter) float(n *ast.FloatNode) {
	if math.IsInf(n.Value, 0) || math.IsNaN(n.Value) {
		w.refuse(n, fmt.Sprintf("number %s is beyond what a 64-bit float can hold: write it as a string", n.GetToken().Value))
		return
	}
	if digits := n.GetToken().Value; !strings.ContainsAny(digits, ".eE") {
		// An integer too long for 64 bits.
		w.out.WriteString(strings.TrimPrefix(strings.ReplaceAll(digits, "_", ""), "+"))
		return
	}
	w.out.WriteString(strconv.FormatFloat(n.Value, 'g', -1, 64))
}

func unmarshalObject(value jsontext.Value, into map[string]jsontext.Value) error {
	return json.Unmarshal(value, &into)
}
