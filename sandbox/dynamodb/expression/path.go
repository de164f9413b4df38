package expression

import (
	"cmp"
	"strconv"
	"strings"

	"spate/sandbox/dynamodb/attribute"
)

// Step is one step of a document path: into a map by name, or into a list by index.
type Step struct {
	// Name is the attribute's name; empty for an index.
	Name string
	// Index counts from 0.
	Index int
	// IsIndex tells an index from a name.
	IsIndex bool
}

// Path leads from an item to a value within it. It has at least one step, and the first is a name.
type Path []Step

// String writes the path as the service does in messages: [a, b, [0]].
func (p Path) String() string {
	steps := make([]string, len(p))
	for i, s := range p {
		steps[i] = s.Name
		if s.IsIndex {
			steps[i] = "[" + strconv.Itoa(s.Index) + "]"
		}
	}
	return "[" + strings.Join(steps, ", ") + "]"
}

// Find returns the value that p leads to, or nil when there is none.
func (p Path) Find(item attribute.Item) attribute.Value {
	var v attribute.Value = item
	for _, step := range p {
		if v = step.into(v); v == nil {
			return nil
		}
	}
	return v
}

// into takes one step; nil when it leads nowhere.
func (s Step) into(v attribute.Value) attribute.Value {
	switch v := v.(type) {
	case attribute.Item:
		if !s.IsIndex {
			return v[s.Name]
		}
	case attribute.List:
		if s.IsIndex && s.Index < len(v) {
			return v[s.Index]
		}
	}
	return nil
}

func (s Step) compare(t Step) int {
	return cmp.Or(cmp.Compare(s.Index, t.Index), strings.Compare(s.Name, t.Name))
}

// checkDisjoint refuses paths of which one is the other or leads through it, and paths that take the same value for a map and for
// a list.
func checkDisjoint(paths []Path) error {
	for i, a := range paths {
		for _, b := range paths[:i] {
			shared := 0
			for shared < len(a) && shared < len(b) && a[shared] == b[shared] {
				shared++
			}
			switch {
			case shared == len(a) || shared == len(b):
				return attribute.Invalid("Two document paths overlap with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", b, a)
			case a[shared].IsIndex != b[shared].IsIndex:
				return attribute.Invalid("Two document paths conflict with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", b, a)
			}
		}
	}
	return nil
}
