package report

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Figure is a number that two runs' results have in the same place.
type Figure struct {
	Job    string  `json:"job"`
	File   string  `json:"file"`
	Path   string  `json:"path"` // where in the file, as in net.oep[return_period=250].loss
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// Change is by how much the figure moved.
func (f Figure) Change() float64 { return f.After - f.Before }

// Relative is the change as a part of what the figure was; infinite where that was 0.
func (f Figure) Relative() float64 {
	if f.Before == 0 {
		return math.Inf(cmp.Compare(f.After, 0))
	}
	return f.Change() / math.Abs(f.Before)
}

// byMovement orders figures by relative change, the largest first, then by change and by place.
func byMovement(a, b Figure) int {
	return cmp.Or(
		cmp.Compare(math.Abs(b.Relative()), math.Abs(a.Relative())), cmp.Compare(math.Abs(b.Change()), math.Abs(a.Change())),
		cmp.Compare(a.Job, b.Job), cmp.Compare(a.File, b.File), cmp.Compare(a.Path, b.Path),
	)
}

// difference is what two versions of a JSON document have in common, and what not.
type difference struct {
	moved  []Figure
	same   int // figures that did not move
	others int // figures that only one of them has
}

// compareFigures compares the numbers of two JSON documents, whatever is their meaning.
func compareFigures(before, after []byte) (difference, error) {
	was, err := figuresOf(before)
	if err != nil {
		return difference{}, err
	}
	is, err := figuresOf(after)
	if err != nil {
		return difference{}, err
	}
	var d difference
	for path, number := range is {
		switch old, ok := was[path]; {
		case !ok:
			d.others++
		case old == number:
			d.same++
		default:
			d.moved = append(d.moved, Figure{Path: path, Before: old, After: number})
		}
	}
	for path := range was {
		if _, ok := is[path]; !ok {
			d.others++
		}
	}
	return d, nil
}

// figuresOf finds all numbers of a JSON document, by path. An element of a list is called by what tells it from the
// others, as in oep[return_period=250], or else by its place, as in layers[0].
func figuresOf(document []byte) (map[string]float64, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(document))
	root, err := readNode(dec)
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	figures := map[string]float64{}
	root.collect("", figures)
	return figures, nil
}

// node is a JSON value, its members in the order of the document.
type node struct {
	kind    jsontext.Kind
	text    string // of a string or number
	members []member
}

type member struct {
	name string // empty in lists
	node
}

func readNode(dec *jsontext.Decoder) (node, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return node{}, err
	}
	n := node{kind: token.Kind()}
	switch n.kind {
	case '"', '0':
		n.text = token.String()
	case '{', '[':
		end := jsontext.Kind('}')
		if n.kind == '[' {
			end = ']'
		}
		for dec.PeekKind() != end {
			var m member
			if n.kind == '{' {
				name, err := dec.ReadToken()
				if err != nil {
					return node{}, err
				}
				m.name = name.String()
			}
			if m.node, err = readNode(dec); err != nil {
				return node{}, err
			}
			n.members = append(n.members, m)
		}
		_, err = dec.ReadToken()
	}
	return n, err
}

// collect adds the node's numbers to figures.
func (n node) collect(path string, figures map[string]float64) {
	switch n.kind {
	case '0':
		if number, err := strconv.ParseFloat(n.text, 64); err == nil {
			figures[path] = number
		}
	case '{':
		for _, m := range n.members {
			below := m.name
			if path != "" {
				below = path + "." + m.name
			}
			m.collect(below, figures)
		}
	case '[':
		name := n.naming()
		for i, m := range n.members {
			if name == "" {
				m.collect(fmt.Sprintf("%s[%d]", path, i), figures)
				continue
			}
			at := m.index(name)
			below := fmt.Sprintf("%s[%s=%s]", path, name, m.members[at].text)
			m.members = slices.Delete(slices.Clone(m.members), at, at+1)
			m.collect(below, figures)
		}
	}
}

// naming is the name of the first member that all elements of a list have, each another text or whole number; empty when
// there is none.
func (n node) naming() string {
	if len(n.members) == 0 {
		return ""
	}
	for _, candidate := range n.members[0].members {
		seen := map[string]bool{}
		for _, element := range n.members {
			at := element.index(candidate.name)
			if at < 0 || !element.members[at].tells() {
				break
			}
			seen[element.members[at].text] = true
		}
		if candidate.name != "" && len(seen) == len(n.members) {
			return candidate.name
		}
	}
	return ""
}

// index is where an object has a member; -1 when it has none.
func (n node) index(name string) int {
	return slices.IndexFunc(n.members, func(m member) bool { return n.kind == '{' && m.name == name })
}

// tells reports whether a value can be a name.
func (n node) tells() bool {
	if n.kind == '0' {
		_, err := strconv.Atoi(n.text)
		return err == nil
	}
	return n.kind == '"'
}
