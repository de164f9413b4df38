package expression

import (
	"maps"
	"slices"
	"strings"

	"spate/sandbox/dynamodb/attribute"
)

// Bindings are a request's ExpressionAttributeNames and ExpressionAttributeValues, shared by all its expressions. They are for one
// goroutine.
type Bindings struct {
	names  map[string]string
	values map[string]attribute.Value
	used   map[string]bool
	parsed int // expressions parsed so far
}

// NewBindings takes the two maps of a request; nil means that it has none. It fails for maps that are present but empty, and for
// placeholders that do not begin with # or :.
func NewBindings(names map[string]string, values attribute.Item) (*Bindings, error) {
	if names != nil && len(names) == 0 {
		return nil, attribute.Invalid("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return nil, attribute.Invalid("ExpressionAttributeValues must not be empty")
	}
	for key := range names {
		if !placeholder(key, '#') {
			return nil, attribute.Invalid(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, key)
		}
	}
	for key := range values {
		if !placeholder(key, ':') {
			return nil, attribute.Invalid(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, key)
		}
	}
	return &Bindings{names: names, values: values, used: make(map[string]bool)}, nil
}

func placeholder(key string, mark byte) bool {
	return len(key) > 1 && key[0] == mark && wordLength(key[1:]) == len(key)-1
}

// Unused fails when a name or a value was used by none of the expressions parsed with b.
func (b *Bindings) Unused() error {
	if b.parsed == 0 && len(b.names) > 0 {
		return attribute.Invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if b.parsed == 0 && len(b.values) > 0 {
		return attribute.Invalid("ExpressionAttributeValues can only be specified when using expressions")
	}
	if left := b.leftovers(maps.Keys(b.names)); left != "" {
		return attribute.Invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", left)
	}
	if left := b.leftovers(maps.Keys(b.values)); left != "" {
		return attribute.Invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", left)
	}
	return nil
}

func (b *Bindings) leftovers(keys func(yield func(string) bool)) string {
	var left []string
	for key := range keys {
		if !b.used[key] {
			left = append(left, key)
		}
	}
	slices.Sort(left)
	return strings.Join(left, ", ")
}

func (b *Bindings) name(key string) (string, error) {
	name, ok := b.names[key]
	if !ok {
		return "", attribute.Invalid("An expression attribute name used in the document path is not defined; attribute name: %s", key)
	}
	b.used[key] = true
	return name, nil
}

func (b *Bindings) value(key string) (attribute.Value, error) {
	v, ok := b.values[key]
	if !ok {
		return nil, attribute.Invalid("An expression attribute value used in expression is not defined; attribute value: %s", key)
	}
	b.used[key] = true
	return v, nil
}
