package expression

import (
	"slices"

	"spate/sandbox/dynamodb/attribute"
)

// Update is a parsed UpdateExpression.
type Update struct{ actions []action }

type section string

const (
	sectionSet    section = "SET"
	sectionRemove section = "REMOVE"
	sectionAdd    section = "ADD"
	sectionDelete section = "DELETE"
)

// action is one change: path = operand, or REMOVE path, ADD path literal, DELETE path literal.
type action struct {
	section section
	path    Path
	operand operand // nil for REMOVE
}

// sum is an operand of SET: left + right, or left - right.
type sum struct {
	left, right operand
	subtract    bool
}

// ParseUpdate parses the SET, REMOVE, ADD and DELETE sections of an update, each at most once, in any order.
func ParseUpdate(text string, bindings *Bindings) (*Update, error) {
	return parse("UpdateExpression", text, bindings, func(p *parser) (*Update, error) {
		var actions []action
		seen := make(map[section]bool)
		for {
			s, ok := p.section()
			if !ok {
				return nil, p.unexpected()
			}
			if seen[s] {
				return nil, attribute.Invalid(`The "%s" section can only be used once in an update expression;`, s)
			}
			seen[s] = true
			for {
				a, err := p.action(s)
				if err != nil {
					return nil, err
				}
				actions = append(actions, a)
				if !p.accept(",") {
					break
				}
			}
			if p.peek().kind == tokenEnd {
				break
			}
		}
		targets := make([]Path, len(actions))
		for i, a := range actions {
			targets[i] = a.path
		}
		return &Update{actions: actions}, checkDisjoint(targets)
	})
}

func (p *parser) section() (section, bool) {
	for _, s := range []section{sectionSet, sectionRemove, sectionAdd, sectionDelete} {
		if p.accept(string(s)) {
			return s, true
		}
	}
	return "", false
}

func (p *parser) action(s section) (action, error) {
	path, err := p.path()
	if err != nil {
		return action{}, err
	}
	a := action{section: s, path: path}
	switch s {
	case sectionRemove:
		return a, nil
	case sectionSet:
		if err := p.expect("="); err != nil {
			return action{}, err
		}
		a.operand, err = p.sum()
		return a, err
	case sectionAdd, sectionDelete:
	}
	t := p.peek()
	if t.kind != tokenValue {
		return action{}, p.unexpected()
	}
	p.at++
	v, err := p.bindings.value(t.text)
	if err != nil {
		return action{}, err
	}
	a.operand = literal{v}
	isSet := slices.Contains([]attribute.Kind{attribute.KindStringSet, attribute.KindNumberSet, attribute.KindBinarySet}, v.Kind())
	if !isSet && (s == sectionDelete || v.Kind() != attribute.KindNumber) {
		return action{}, badOperand(string(s), v.Kind())
	}
	return a, nil
}

func (p *parser) sum() (operand, error) {
	left, err := p.operand("if_not_exists", "list_append")
	if err != nil {
		return nil, err
	}
	operator := p.peek().text
	if !p.accept("+") && !p.accept("-") {
		return left, nil
	}
	right, err := p.operand("if_not_exists", "list_append")
	if err != nil {
		return nil, err
	}
	for _, o := range []operand{left, right} {
		if l, ok := o.(literal); ok && l.Kind() != attribute.KindNumber {
			return nil, badOperand(operator, l.Kind())
		}
	}
	return sum{left: left, right: right, subtract: operator == "-"}, nil
}

func (s sum) value(item attribute.Item) (attribute.Value, error) {
	left, err := s.left.value(item)
	if err != nil {
		return nil, err
	}
	right, err := s.right.value(item)
	if err != nil {
		return nil, err
	}
	if left == nil || right == nil {
		return nil, errMissingAttribute()
	}
	a, ok := left.(attribute.Number)
	b, ok2 := right.(attribute.Number)
	if !ok || !ok2 {
		return nil, errUpdateOperand()
	}
	if s.subtract {
		return a.Sub(b)
	}
	return a.Add(b)
}

// Touches says whether the update changes the attribute or a part of it.
func (u *Update) Touches(name string) bool {
	return slices.ContainsFunc(u.actions, func(a action) bool { return a.path[0].Name == name })
}

// Touched returns the part of an item that the update's paths lead to, as the return values UPDATED_OLD and UPDATED_NEW show it.
func (u *Update) Touched(item attribute.Item) attribute.Item {
	root := branch{}
	for _, a := range u.actions {
		at := root
		for _, step := range a.path {
			if at[step] == nil {
				at[step] = branch{}
			}
			at = at[step]
		}
	}
	return (&Projection{root: root}).Apply(item)
}

// Apply returns the item with all changes made; item itself stays as it is. Every operand sees the item as it was before.
func (u *Update) Apply(item attribute.Item) (attribute.Item, error) {
	values := make([]attribute.Value, len(u.actions))
	for i, a := range u.actions {
		if a.operand == nil {
			continue
		}
		v, err := a.operand.value(item)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, errMissingAttribute()
		}
		values[i] = v
	}
	out := item.Clone()
	if out == nil {
		out = attribute.Item{}
	}
	for _, a := range u.actions {
		if name := a.path[0].Name; len(a.path) > 1 && out[name] != nil {
			out[name] = attribute.Clone(out[name])
		}
	}
	var removals []Path
	for i, a := range u.actions {
		var err error
		switch a.section {
		case sectionSet:
			err = a.path.set(out, values[i])
		case sectionAdd:
			err = a.path.add(out, values[i])
		case sectionDelete:
			err = a.path.subtract(out, values[i])
		case sectionRemove:
			removals = append(removals, a.path)
		}
		if err != nil {
			return nil, err
		}
	}
	// From the back, so that an index still means the element it meant before.
	slices.SortFunc(removals, func(a, b Path) int { return slices.CompareFunc(b, a, Step.compare) })
	for _, path := range removals {
		if err := path.remove(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func errInvalidPath() error {
	return attribute.Invalid("The document path provided in the update expression is invalid for update")
}

// set puts v at the path. The map or list that holds it must exist; an index beyond a list's end appends.
func (p Path) set(item attribute.Item, v attribute.Value) error {
	return p.edit(item, func(attribute.Value) (attribute.Value, error) { return v, nil })
}

func (p Path) remove(item attribute.Item) error {
	return p.edit(item, func(attribute.Value) (attribute.Value, error) { return nil, nil })
}

// add adds a number to a number, or a set to a set; what is missing counts as 0 or as empty.
func (p Path) add(item attribute.Item, v attribute.Value) error {
	return p.edit(item, func(old attribute.Value) (attribute.Value, error) {
		if old == nil {
			return v, nil
		}
		switch v := v.(type) {
		case attribute.Number:
			if old, ok := old.(attribute.Number); ok {
				return old.Add(v)
			}
		case attribute.StringSet:
			if old, ok := old.(attribute.StringSet); ok {
				return attribute.NewStringSet(union(old, v))
			}
		case attribute.NumberSet:
			if old, ok := old.(attribute.NumberSet); ok {
				return attribute.NewNumberSet(union(old, v))
			}
		case attribute.BinarySet:
			if old, ok := old.(attribute.BinarySet); ok {
				return attribute.NewBinarySet(union(old, v))
			}
		}
		return nil, errUpdateOperand()
	})
}

// subtract removes the members of v from a set; an emptied set goes.
func (p Path) subtract(item attribute.Item, v attribute.Value) error {
	return p.edit(item, func(old attribute.Value) (attribute.Value, error) {
		if old == nil {
			return nil, nil
		}
		switch v := v.(type) {
		case attribute.StringSet:
			if old, ok := old.(attribute.StringSet); ok {
				left := difference(old, v)
				return orNothing(attribute.StringSet(left), left), nil
			}
		case attribute.NumberSet:
			if old, ok := old.(attribute.NumberSet); ok {
				left := difference(old, v)
				return orNothing(attribute.NumberSet(left), left), nil
			}
		case attribute.BinarySet:
			if old, ok := old.(attribute.BinarySet); ok {
				left := difference(old, v)
				return orNothing(attribute.BinarySet(left), left), nil
			}
		}
		return nil, errUpdateOperand()
	})
}

func union[V comparable](a, b []V) []V {
	return append(slices.Clone(a), difference(b, a)...)
}

func difference[V comparable](a, b []V) []V {
	drop := make(map[V]bool, len(b))
	for _, v := range b {
		drop[v] = true
	}
	var kept []V
	for _, v := range a {
		if !drop[v] {
			kept = append(kept, v)
		}
	}
	return kept
}

// orNothing returns the set, or nil when it has no member.
func orNothing[V any](set attribute.Value, members []V) attribute.Value {
	if len(members) == 0 {
		return nil
	}
	return set
}

// edit replaces the value at the path by what change makes of it; nil stands for absent, before and after. It changes item's nested
// maps and lists in place.
func (p Path) edit(item attribute.Item, change func(old attribute.Value) (attribute.Value, error)) error {
	changed, err := editValue(item, p, change)
	if err != nil {
		return err
	}
	if _, ok := changed.(attribute.Item); !ok {
		return errInvalidPath()
	}
	return nil
}

func editValue(in attribute.Value, path Path, change func(attribute.Value) (attribute.Value, error)) (attribute.Value, error) {
	if len(path) == 0 {
		return change(in)
	}
	step := path[0]
	old := step.into(in)
	if old == nil && len(path) > 1 {
		return nil, errInvalidPath()
	}
	var v attribute.Value
	var err error
	switch in := in.(type) {
	case attribute.Item:
		if step.IsIndex {
			return nil, errInvalidPath()
		}
		if v, err = editValue(old, path[1:], change); err != nil {
			return nil, err
		}
		if v == nil {
			delete(in, step.Name)
		} else {
			in[step.Name] = v
		}
		return in, nil
	case attribute.List:
		if !step.IsIndex {
			return nil, errInvalidPath()
		}
		if v, err = editValue(old, path[1:], change); err != nil {
			return nil, err
		}
		switch {
		case v == nil && step.Index < len(in):
			return slices.Delete(in, step.Index, step.Index+1), nil
		case v == nil:
			return in, nil
		case step.Index < len(in):
			in[step.Index] = v
			return in, nil
		default:
			return append(in, v), nil
		}
	}
	return nil, errInvalidPath()
}
