package expression

import (
	"strings"
	"unicode/utf8"

	"spate/sandbox/dynamodb/attribute"
)

// operand is something that has a value within an item. Its value is nil when it has none: a path that leads nowhere.
type operand interface {
	value(item attribute.Item) (attribute.Value, error)
}

type literal struct{ attribute.Value }

func (l literal) value(attribute.Item) (attribute.Value, error) { return l.Value, nil }

func (p Path) value(item attribute.Item) (attribute.Value, error) { return p.Find(item), nil }

// function is a call; those that answer yes or no have a Bool as their value.
type function struct {
	name string
	args []operand
}

func functionArity(name string) (arity int, known bool) {
	switch name {
	case "attribute_exists", "attribute_not_exists", "size":
		return 1, true
	case "attribute_type", "begins_with", "contains", "if_not_exists", "list_append":
		return 2, true
	}
	return 0, false
}

// check refuses arguments that could never be right, whatever the item.
func (f function) check() error {
	switch f.name {
	case "attribute_exists", "attribute_not_exists", "if_not_exists":
		if _, isPath := f.args[0].(Path); !isPath {
			return attribute.Invalid("Operator or function requires a document path; operator or function: %s", f.name)
		}
	case "attribute_type":
		kind, isLiteral := f.args[1].(literal)
		if !isLiteral {
			return f.badOperand(kind)
		}
		name, isString := kind.Value.(attribute.String)
		if !isString {
			return f.badOperand(kind)
		}
		if !attribute.Kind(name).Valid() {
			return attribute.Invalid("Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", string(name))
		}
	case "begins_with":
		for _, arg := range f.args {
			if l, isLiteral := arg.(literal); isLiteral && l.Kind() != attribute.KindString && l.Kind() != attribute.KindBinary {
				return f.badOperand(l)
			}
		}
	case "list_append":
		for _, arg := range f.args {
			if l, isLiteral := arg.(literal); isLiteral && l.Kind() != attribute.KindList {
				return f.badOperand(l)
			}
		}
	case "size":
		if l, isLiteral := f.args[0].(literal); isLiteral && sizeOf(l.Value) == nil {
			return f.badOperand(l)
		}
	}
	return nil
}

func (f function) badOperand(l literal) error {
	kind := attribute.Kind("{null}")
	if l.Value != nil {
		kind = l.Kind()
	}
	return badOperand(f.name, kind)
}

func badOperand(operator string, kind attribute.Kind) error {
	return attribute.Invalid("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", operator, kind)
}

func (f function) value(item attribute.Item) (attribute.Value, error) {
	args := make([]attribute.Value, len(f.args))
	for i, arg := range f.args {
		v, err := arg.value(item)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	switch f.name {
	case "attribute_exists":
		return attribute.Bool(args[0] != nil), nil
	case "attribute_not_exists":
		return attribute.Bool(args[0] == nil), nil
	case "attribute_type":
		name, _ := args[1].(attribute.String)
		return attribute.Bool(args[0] != nil && args[0].Kind() == attribute.Kind(name)), nil
	case "begins_with":
		return attribute.Bool(beginsWith(args[0], args[1])), nil
	case "contains":
		return attribute.Bool(contains(args[0], args[1])), nil
	case "size":
		return sizeOf(args[0]), nil
	case "if_not_exists":
		if args[0] != nil {
			return args[0], nil
		}
		return args[1], nil
	default:
		return listAppend(args[0], args[1])
	}
}

func beginsWith(v, prefix attribute.Value) bool {
	switch v := v.(type) {
	case attribute.String:
		prefix, same := prefix.(attribute.String)
		return same && strings.HasPrefix(string(v), string(prefix))
	case attribute.Binary:
		prefix, same := prefix.(attribute.Binary)
		return same && strings.HasPrefix(string(v), string(prefix))
	}
	return false
}

func contains(v, part attribute.Value) bool {
	switch v := v.(type) {
	case attribute.String:
		part, same := part.(attribute.String)
		return same && strings.Contains(string(v), string(part))
	case attribute.Binary:
		part, same := part.(attribute.Binary)
		return same && strings.Contains(string(v), string(part))
	case attribute.List:
		return anyEqual(v, part)
	case attribute.StringSet:
		return anyEqual(v, part)
	case attribute.NumberSet:
		return anyEqual(v, part)
	case attribute.BinarySet:
		return anyEqual(v, part)
	}
	return false
}

func anyEqual[V attribute.Value](members []V, v attribute.Value) bool {
	if v == nil {
		return false
	}
	for _, member := range members {
		if attribute.Equal(member, v) {
			return true
		}
	}
	return false
}

// sizeOf is the function size: characters, bytes or members; nil for values without a size.
func sizeOf(v attribute.Value) attribute.Value {
	var n int
	switch v := v.(type) {
	case attribute.String:
		n = utf8.RuneCountInString(string(v))
	case attribute.Binary:
		n = len(v)
	case attribute.List:
		n = len(v)
	case attribute.Item:
		n = len(v)
	case attribute.StringSet:
		n = len(v)
	case attribute.NumberSet:
		n = len(v)
	case attribute.BinarySet:
		n = len(v)
	default:
		return nil
	}
	return attribute.NumberFromInt(int64(n))
}

func listAppend(a, b attribute.Value) (attribute.Value, error) {
	if a == nil || b == nil {
		return nil, errMissingAttribute()
	}
	first, ok := a.(attribute.List)
	second, ok2 := b.(attribute.List)
	if !ok || !ok2 {
		return nil, errUpdateOperand()
	}
	joined := make(attribute.List, 0, len(first)+len(second))
	return append(append(joined, first...), second...), nil
}

func errMissingAttribute() error {
	return attribute.Invalid("The provided expression refers to an attribute that does not exist in the item")
}

func errUpdateOperand() error {
	return attribute.Invalid("An operand in the update expression has an incorrect data type")
}
