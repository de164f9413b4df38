package attribute

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep lists and maps may nest (Amazon DynamoDB developer guide, "Quotas").
const maxDepth = 32

// MarshalJSON writes the item as a JSON object of typed values, names in no particular order.
func (m Item) MarshalJSON() ([]byte, error) {
	return m.appendAttributes(make([]byte, 0, 64+2*m.ItemSize())), nil
}

// UnmarshalJSON reads a JSON object of typed values. What is wrong with a value is a ValidationError.
func (m *Item) UnmarshalJSON(data []byte) error {
	return m.UnmarshalJSONFrom(jsontext.NewDecoder(bytes.NewReader(data)))
}

// UnmarshalJSONFrom is UnmarshalJSON within a larger text, which need not be scanned for where the item ends.
func (m *Item) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	item, err := readItem(d, 0)
	if err != nil {
		return err
	}
	*m = item
	return nil
}

func (m Item) appendAttributes(dst []byte) []byte {
	dst = append(dst, '{')
	first := true
	for name, v := range m {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = quote(dst, name)
		dst = append(dst, ':')
		dst = v.appendJSON(dst)
	}
	return append(dst, '}')
}

// quote writes s as a JSON string; text that is not UTF-8 has been refused on the way in.
func quote(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

func (s String) appendJSON(dst []byte) []byte {
	return append(quote(append(dst, `{"S":`...), string(s)), '}')
}

func (n Number) appendJSON(dst []byte) []byte {
	return append(append(append(dst, `{"N":"`...), n.String()...), `"}`...)
}

func (b Binary) appendJSON(dst []byte) []byte {
	return append(b.appendBase64(append(dst, `{"B":`...)), '}')
}

func (b Binary) appendBase64(dst []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), []byte(b)), '"')
}

func (b Bool) appendJSON(dst []byte) []byte {
	if b {
		return append(dst, `{"BOOL":true}`...)
	}
	return append(dst, `{"BOOL":false}`...)
}

func (Null) appendJSON(dst []byte) []byte { return append(dst, `{"NULL":true}`...) }

func (l List) appendJSON(dst []byte) []byte {
	return appendMembers(dst, KindList, l, func(dst []byte, v Value) []byte { return v.appendJSON(dst) })
}

func (m Item) appendJSON(dst []byte) []byte {
	return append(m.appendAttributes(append(dst, `{"M":`...)), '}')
}

func (s StringSet) appendJSON(dst []byte) []byte {
	return appendMembers(dst, KindStringSet, s, func(dst []byte, v String) []byte { return quote(dst, string(v)) })
}

func (s NumberSet) appendJSON(dst []byte) []byte {
	return appendMembers(dst, KindNumberSet, s, func(dst []byte, v Number) []byte {
		return append(append(append(dst, '"'), v.String()...), '"')
	})
}

func (s BinarySet) appendJSON(dst []byte) []byte {
	return appendMembers(dst, KindBinarySet, s, func(dst []byte, v Binary) []byte { return v.appendBase64(dst) })
}

func appendMembers[V any](dst []byte, kind Kind, members []V, write func(dst []byte, v V) []byte) []byte {
	dst = append(append(append(dst, `{"`...), kind...), `":[`...)
	for i, v := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = write(dst, v)
	}
	return append(dst, `]}`...)
}

func readItem(d *jsontext.Decoder, depth int) (Item, error) {
	if err := expect(d, '{'); err != nil {
		return nil, err
	}
	item := make(Item)
	for d.PeekKind() == '"' {
		name, err := readString(d)
		if err != nil {
			return nil, err
		}
		v, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		item[name] = v
	}
	return item, expect(d, '}')
}

func readValue(d *jsontext.Decoder, depth int) (Value, error) {
	if depth > maxDepth {
		return nil, Invalid("Nesting Levels have exceeded supported limits")
	}
	if err := expect(d, '{'); err != nil {
		return nil, err
	}
	var value Value
	for d.PeekKind() == '"' {
		kind, err := readString(d)
		if err != nil {
			return nil, err
		}
		if d.PeekKind() == 'n' { // an absent member written as null
			if err := d.SkipValue(); err != nil {
				return nil, err
			}
			continue
		}
		if value != nil {
			return nil, Invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
		}
		if value, err = readKind(d, Kind(kind), depth); err != nil {
			return nil, err
		}
	}
	if value == nil {
		return nil, Invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
	return value, expect(d, '}')
}

func readKind(d *jsontext.Decoder, kind Kind, depth int) (Value, error) {
	switch kind {
	case KindString:
		s, err := readString(d)
		return String(s), err
	case KindNumber:
		return readNumber(d)
	case KindBinary:
		return readBinary(d)
	case KindBool:
		b, err := readBool(d)
		return Bool(b), err
	case KindNull:
		b, err := readBool(d)
		if err == nil && !b {
			err = Invalid("One or more parameter values were invalid: Null attribute value types must have the value of true")
		}
		return Null{}, err
	case KindList:
		l, err := readArray(d, func(d *jsontext.Decoder) (Value, error) { return readValue(d, depth+1) })
		return List(l), err
	case KindMap:
		return readItem(d, depth+1)
	case KindStringSet:
		return readSet(d, func(d *jsontext.Decoder) (String, error) {
			s, err := readString(d)
			return String(s), err
		}, NewStringSet)
	case KindNumberSet:
		return readSet(d, readNumber, NewNumberSet)
	case KindBinarySet:
		return readSet(d, readBinary, NewBinarySet)
	}
	return nil, Invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
}

func readSet[V Value, S Value](d *jsontext.Decoder, read func(*jsontext.Decoder) (V, error), build func([]V) (S, error)) (Value, error) {
	members, err := readArray(d, read)
	if err != nil {
		return nil, err
	}
	return build(members)
}

func readArray[V any](d *jsontext.Decoder, read func(*jsontext.Decoder) (V, error)) ([]V, error) {
	if err := expect(d, '['); err != nil {
		return nil, err
	}
	members := []V{}
	for d.PeekKind() != ']' {
		v, err := read(d)
		if err != nil {
			return nil, err
		}
		members = append(members, v)
	}
	return members, expect(d, ']')
}

func readNumber(d *jsontext.Decoder) (Number, error) {
	s, err := readString(d)
	if err != nil {
		return Number{}, err
	}
	return ParseNumber(s)
}

func readBinary(d *jsontext.Decoder) (Binary, error) {
	s, err := readString(d)
	if err != nil {
		return "", err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("decode binary value: %w", err)
	}
	return Binary(b), nil
}

func readBool(d *jsontext.Decoder) (bool, error) {
	t, err := d.ReadToken()
	if err != nil {
		return false, readError(err)
	}
	if t.Kind() != 't' && t.Kind() != 'f' {
		return false, fmt.Errorf("read boolean: found %s", t)
	}
	return t.Bool(), nil
}

func readString(d *jsontext.Decoder) (string, error) {
	t, err := d.ReadToken()
	if err != nil {
		return "", readError(err)
	}
	if t.Kind() != '"' {
		return "", fmt.Errorf("read string: found %s", t)
	}
	return t.String(), nil
}

func expect(d *jsontext.Decoder, kind jsontext.Kind) error {
	t, err := d.ReadToken()
	if err != nil {
		return readError(err)
	}
	if t.Kind() != kind {
		return fmt.Errorf("read attribute value: expected %v, found %s", kind, t)
	}
	return nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read attribute value: %w", err)
}
