package attribute

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind is a data type descriptor as it is written on the wire.
type Kind string

// The ten data types.
const (
	KindString    Kind = "S"
	KindNumber    Kind = "N"
	KindBinary    Kind = "B"
	KindBool      Kind = "BOOL"
	KindNull      Kind = "NULL"
	KindList      Kind = "L"
	KindMap       Kind = "M"
	KindStringSet Kind = "SS"
	KindNumberSet Kind = "NS"
	KindBinarySet Kind = "BS"
)

// Valid says whether k is one of the ten data types.
func (k Kind) Valid() bool {
	switch k {
	case KindString, KindNumber, KindBinary, KindBool, KindNull, KindList, KindMap, KindStringSet, KindNumberSet, KindBinarySet:
		return true
	}
	return false
}

// Value is one attribute value: a String, Number, Binary, Bool, Null, List, Item (a map), StringSet, NumberSet or BinarySet.
type Value interface {
	// Kind returns the value's data type.
	Kind() Kind
	// Size returns the value's share of an item's size in bytes, by the rules of the Amazon DynamoDB developer guide.
	Size() int
	appendJSON(dst []byte) []byte
}

type (
	// String is UTF-8 text.
	String string
	// Binary is bytes.
	Binary string
	// Bool is true or false.
	Bool bool
	// Null is the null value.
	Null struct{}
	// List is an ordered list of values.
	List []Value
	// Item is a map from attribute names to values: a whole item, or the value of one of its attributes.
	Item map[string]Value
	// StringSet is a set of distinct strings, in ascending order.
	StringSet []String
	// NumberSet is a set of numerically distinct numbers, in ascending order.
	NumberSet []Number
	// BinarySet is a set of distinct byte strings, in ascending order.
	BinarySet []Binary
)

// Kind returns KindString.
func (String) Kind() Kind { return KindString }

// Kind returns KindNumber.
func (Number) Kind() Kind { return KindNumber }

// Kind returns KindBinary.
func (Binary) Kind() Kind { return KindBinary }

// Kind returns KindBool.
func (Bool) Kind() Kind { return KindBool }

// Kind returns KindNull.
func (Null) Kind() Kind { return KindNull }

// Kind returns KindList.
func (List) Kind() Kind { return KindList }

// Kind returns KindMap.
func (Item) Kind() Kind { return KindMap }

// Kind returns KindStringSet.
func (StringSet) Kind() Kind { return KindStringSet }

// Kind returns KindNumberSet.
func (NumberSet) Kind() Kind { return KindNumberSet }

// Kind returns KindBinarySet.
func (BinarySet) Kind() Kind { return KindBinarySet }

// Size returns the length in bytes.
func (s String) Size() int { return len(s) }

// Size returns about one byte for two significant digits, plus one.
func (n Number) Size() int {
	size := (len(n.digits)+1)/2 + 1
	if n.negative {
		size++
	}
	return size
}

// Size returns the length in bytes.
func (b Binary) Size() int { return len(b) }

// Size returns 1.
func (Bool) Size() int { return 1 }

// Size returns 1.
func (Null) Size() int { return 1 }

// Size returns 3 bytes plus each element's size and one.
func (l List) Size() int {
	size := 3
	for _, v := range l {
		size += 1 + v.Size()
	}
	return size
}

// Size returns the size of a map nested in an item: 3 bytes plus each name, value and one.
func (m Item) Size() int { return 3 + len(m) + m.ItemSize() }

// ItemSize returns the size of m as a whole item: the sum of its names and values.
func (m Item) ItemSize() int {
	size := 0
	for name, v := range m {
		size += len(name) + v.Size()
	}
	return size
}

// Size returns the sum of the members' sizes.
func (s StringSet) Size() int { return sumSizes(s) }

// Size returns the sum of the members' sizes.
func (s NumberSet) Size() int { return sumSizes(s) }

// Size returns the sum of the members' sizes.
func (s BinarySet) Size() int { return sumSizes(s) }

func sumSizes[V Value](set []V) int {
	size := 0
	for _, v := range set {
		size += v.Size()
	}
	return size
}

// Clone returns a shallow copy: the attributes' values are shared.
func (m Item) Clone() Item { return maps.Clone(m) }

// Clone returns a copy of v that shares no list and no map with it.
func Clone(v Value) Value {
	switch v := v.(type) {
	case List:
		out := make(List, len(v))
		for i := range v {
			out[i] = Clone(v[i])
		}
		return out
	case Item:
		out := make(Item, len(v))
		for name := range v {
			out[name] = Clone(v[name])
		}
		return out
	default:
		return v
	}
}

// Equal says whether a and b are the same value of the same type; numbers are compared by value, lists in order.
func Equal(a, b Value) bool {
	switch a := a.(type) {
	case List:
		b, ok := b.(List)
		return ok && slices.EqualFunc(a, b, Equal)
	case Item:
		b, ok := b.(Item)
		return ok && maps.EqualFunc(a, b, Equal)
	case StringSet:
		b, ok := b.(StringSet)
		return ok && slices.Equal(a, b)
	case NumberSet:
		b, ok := b.(NumberSet)
		return ok && slices.Equal(a, b)
	case BinarySet:
		b, ok := b.(BinarySet)
		return ok && slices.Equal(a, b)
	case String, Number, Binary, Bool, Null:
		return same(a, b)
	}
	return false
}

func same(a, b Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	return a == b
}

// Compare orders two strings, numbers or binary values. It returns false when they differ in type or have no order.
func Compare(a, b Value) (order int, ok bool) {
	switch a := a.(type) {
	case String:
		if b, same := b.(String); same {
			return strings.Compare(string(a), string(b)), true
		}
	case Number:
		if b, same := b.(Number); same {
			return a.Compare(b), true
		}
	case Binary:
		if b, same := b.(Binary); same {
			return strings.Compare(string(a), string(b)), true
		}
	}
	return 0, false
}

// NewStringSet sorts members into a set. It fails with a ValidationError when there is none or one occurs twice.
func NewStringSet(members []String) (StringSet, error) {
	return newSet(members, func(a, b String) int { return strings.Compare(string(a), string(b)) }, "string")
}

// NewNumberSet is NewStringSet for numbers.
func NewNumberSet(members []Number) (NumberSet, error) {
	return newSet(members, Number.Compare, "number")
}

// NewBinarySet is NewStringSet for binary values.
func NewBinarySet(members []Binary) (BinarySet, error) {
	return newSet(members, func(a, b Binary) int { return strings.Compare(string(a), string(b)) }, "binary")
}

func newSet[V Value](members []V, order func(a, b V) int, kind string) ([]V, error) {
	if len(members) == 0 {
		return nil, Invalid("One or more parameter values were invalid: An %s set  may not be empty", kind)
	}
	set := slices.SortedFunc(slices.Values(members), order)
	for i := 1; i < len(set); i++ {
		if order(set[i-1], set[i]) == 0 {
			return nil, Invalid("One or more parameter values were invalid: Input collection %v contains duplicates.", members)
		}
	}
	return set, nil
}

// ValidationError says what is wrong with a request, in the service's words.
type ValidationError struct {
	// Message is the text of the service's ValidationException.
	Message string
}

// Error returns the message.
func (e *ValidationError) Error() string { return e.Message }

// Invalid returns a ValidationError with a formatted message.
func Invalid(format string, args ...any) error {
	return &ValidationError{Message: fmt.Sprintf(format, args...)}
}
