package dynamodb

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"

	"spate/sandbox/dynamodb/attribute"
	"spate/sandbox/dynamodb/expression"
)

// Longest keys in bytes (Amazon DynamoDB developer guide, "Quotas").
const (
	maxHashKey  = 2048
	maxRangeKey = 1024
)

// keyAttribute is one attribute of a primary key.
type keyAttribute struct {
	name string
	kind attribute.Kind // S, N or B
}

// schema is a table's primary key. rangeKey's name is empty when there is none.
type schema struct{ hashKey, rangeKey keyAttribute }

func (s schema) attributes() []keyAttribute {
	if s.rangeKey.name == "" {
		return []keyAttribute{s.hashKey}
	}
	return []keyAttribute{s.hashKey, s.rangeKey}
}

// keyOf returns the sort key of an item's record, and refuses an item without a proper primary key.
func (s schema) keyOf(item attribute.Item) (string, error) {
	for _, k := range s.attributes() {
		v := item[k.name]
		if v == nil {
			return "", attribute.Invalid("One or more parameter values were invalid: Missing the key %s in the item", k.name)
		}
		if v.Kind() != k.kind {
			return "", attribute.Invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", k.name, k.kind, v.Kind())
		}
	}
	return s.encode(item)
}

// keyOfKey is keyOf for the Key of a request: exactly the key attributes.
func (s schema) keyOfKey(key attribute.Item) (string, error) {
	if len(key) != len(s.attributes()) {
		return "", attribute.Invalid("The provided key element does not match the schema")
	}
	for _, k := range s.attributes() {
		if v := key[k.name]; v == nil || v.Kind() != k.kind {
			return "", attribute.Invalid("The provided key element does not match the schema")
		}
	}
	return s.encode(key)
}

func (s schema) encode(item attribute.Item) (string, error) {
	prefix, err := s.partition(item[s.hashKey.name])
	if err != nil || s.rangeKey.name == "" {
		return prefix, err
	}
	v := item[s.rangeKey.name]
	if err := checkKeyValue(s.rangeKey, v); err != nil {
		return "", err
	}
	if v.Size() > maxRangeKey {
		return "", attribute.Invalid("One or more parameter values were invalid: Size of rangekey has exceeded the maximum size limit of1024 bytes")
	}
	return string(appendOrdered([]byte(prefix), v)), nil
}

// partition returns what the keys of a partition's records begin with: a hash of the partition key in 8 bytes, the key's length, and
// the key. No partition's prefix begins another's.
func (s schema) partition(v attribute.Value) (string, error) {
	if err := checkKeyValue(s.hashKey, v); err != nil {
		return "", err
	}
	if v.Size() > maxHashKey {
		return "", attribute.Invalid("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes")
	}
	ordered := appendOrdered(make([]byte, 0, 64), v)
	sum := sha256.Sum256(ordered)
	key := make([]byte, 0, 12+len(ordered)+32)
	key = append(key, sum[:8]...)
	key = binary.BigEndian.AppendUint32(key, uint32(len(ordered)))
	return string(append(key, ordered...)), nil
}

func checkKeyValue(k keyAttribute, v attribute.Value) error {
	var kind string
	switch v {
	case attribute.String(""):
		kind = "string"
	case attribute.Binary(""):
		kind = "binary"
	default:
		return nil
	}
	return attribute.Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, k.name)
}

// keyItem returns the key attributes of an item.
func (s schema) keyItem(item attribute.Item) attribute.Item {
	key := make(attribute.Item, 2)
	for _, k := range s.attributes() {
		key[k.name] = item[k.name]
	}
	return key
}

// appendOrdered appends bytes that sort as the values of a key attribute do.
func appendOrdered(dst []byte, v attribute.Value) []byte {
	switch v := v.(type) {
	case attribute.String:
		return append(dst, v...)
	case attribute.Binary:
		return append(dst, v...)
	case attribute.Number:
		return v.AppendOrdered(dst)
	}
	return dst
}

// hashOf returns the hash at the beginning of a record's key.
func hashOf(key string) uint64 { return binary.BigEndian.Uint64([]byte(key[:8])) }

// hashSpan holds the keys whose hash is from low to high, both included.
func hashSpan(low, high uint64) span {
	s := span{from: string(binary.BigEndian.AppendUint64(nil, low))}
	if high != math.MaxUint64 {
		s.to = string(binary.BigEndian.AppendUint64(nil, high+1))
	}
	return s
}

// segment returns the lowest and the highest hash of one of total equal parts.
func segment(index, total int) (low, high uint64) {
	low, _ = bits.Div64(uint64(index), 0, uint64(total))
	if index == total-1 {
		return low, math.MaxUint64
	}
	next, _ := bits.Div64(uint64(index+1), 0, uint64(total))
	return low, next - 1
}

// after is the least key greater than key.
func after(key string) string { return key + "\x00" }

// prefixEnd is the least key greater than all keys that begin with prefix; empty when there is none.
func prefixEnd(prefix string) string {
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) > 0 {
		end[len(end)-1]++
	}
	return string(end)
}

// querySpan turns a key condition into the range of keys that meet it.
func (s schema) querySpan(tests []expression.KeyTest) (span, error) {
	var hash, sort *expression.KeyTest
	for i := range tests {
		switch tests[i].Attribute {
		case s.hashKey.name:
			hash = &tests[i]
		case s.rangeKey.name:
			sort = &tests[i]
		}
	}
	if hash == nil {
		return span{}, attribute.Invalid("Query condition missed key schema element: %s", s.hashKey.name)
	}
	if hash.Operator != "=" {
		return span{}, attribute.Invalid("Query key condition not supported")
	}
	if sort == nil && len(tests) > 1 {
		if s.rangeKey.name == "" {
			return span{}, attribute.Invalid("Query key condition not supported")
		}
		return span{}, attribute.Invalid("Query condition missed key schema element: %s", s.rangeKey.name)
	}
	if err := checkOperands(s.hashKey, *hash); err != nil {
		return span{}, err
	}
	prefix, err := s.partition(hash.Operands[0])
	if err != nil {
		return span{}, err
	}
	whole := span{from: prefix, to: prefixEnd(prefix)}
	if sort == nil {
		return whole, nil
	}
	if err := checkOperands(s.rangeKey, *sort); err != nil {
		return span{}, err
	}
	low := string(appendOrdered([]byte(prefix), sort.Operands[0]))
	switch sort.Operator {
	case "=":
		return span{from: low, to: after(low)}, nil
	case "<":
		return span{from: whole.from, to: low}, nil
	case "<=":
		return span{from: whole.from, to: after(low)}, nil
	case ">":
		return span{from: after(low), to: whole.to}, nil
	case ">=":
		return span{from: low, to: whole.to}, nil
	case "BETWEEN":
		high := string(appendOrdered([]byte(prefix), sort.Operands[1]))
		return span{from: low, to: after(high)}, nil
	default:
		if s.rangeKey.kind == attribute.KindNumber {
			return span{}, attribute.Invalid("Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N")
		}
		return span{from: low, to: prefixEnd(low)}, nil
	}
}

func checkOperands(k keyAttribute, test expression.KeyTest) error {
	for _, v := range test.Operands {
		if v.Kind() != k.kind {
			return attribute.Invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
		}
		if err := checkKeyValue(k, v); err != nil {
			return err
		}
	}
	return nil
}
