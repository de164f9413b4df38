package sqs

import (
	"crypto/md5" //nolint:gosec // the SQS protocol's checksum
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// attributeValue is one message attribute on the wire.
type attributeValue struct {
	DataType    string  `json:"DataType"`
	StringValue *string `json:"StringValue,omitempty"`
	BinaryValue []byte  `json:"BinaryValue,omitempty"`
}

// maxMessageAttributes is SQS's limit a message.
const maxMessageAttributes = 10

// validateContent checks a message's body and attributes, and returns its size
// in bytes as SQS counts it.
func validateContent(body string, attributes map[string]attributeValue) (int, error) {
	if body == "" {
		return 0, errMissing("MessageBody")
	}
	if !utf8.ValidString(body) || strings.ContainsFunc(body, forbidden) {
		return 0, refusal("InvalidMessageContents", "InvalidMessageContents",
			"Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	}
	if len(attributes) > maxMessageAttributes {
		return 0, errInvalid("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(attributes), maxMessageAttributes)
	}
	size := len(body)
	for name, value := range attributes {
		kind, _, _ := strings.Cut(value.DataType, ".")
		switch {
		case kind != "String" && kind != "Number" && kind != "Binary":
			return 0, errInvalid("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
		case kind == "Binary" && len(value.BinaryValue) == 0,
			kind != "Binary" && (value.StringValue == nil || *value.StringValue == ""):
			return 0, errInvalid("The message attribute '%s' must contain a non-empty message attribute value for message attribute type '%s'.", name, kind)
		}
		size += len(name) + len(value.DataType) + len(value.BinaryValue)
		if value.StringValue != nil {
			size += len(*value.StringValue)
		}
	}
	return size, nil
}

// forbidden says whether SQS refuses the character in a body.
func forbidden(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // the SQS protocol's checksum
	return hex.EncodeToString(sum[:])
}

// attributesMD5 is MD5OfMessageAttributes, as the SQS developer guide defines it:
// the attributes in the order of their names, each as length-prefixed name, type
// and value with a byte that tells text from binary. Empty without attributes.
func attributesMD5(attributes map[string]attributeValue) string {
	if len(attributes) == 0 {
		return ""
	}
	const textValue, binaryValue = 1, 2
	sum := md5.New() //nolint:gosec // the SQS protocol's checksum
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		writeCounted(sum, []byte(name))
		writeCounted(sum, []byte(value.DataType))
		if value.StringValue != nil {
			sum.Write([]byte{textValue})
			writeCounted(sum, []byte(*value.StringValue))
			continue
		}
		sum.Write([]byte{binaryValue})
		writeCounted(sum, value.BinaryValue)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func writeCounted(sum hash.Hash, data []byte) {
	sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
	sum.Write(data)
}

// formatHandle makes the receipt handle of a message's nth receive.
func formatHandle(id string, receive int) string {
	return base64.StdEncoding.EncodeToString([]byte(id + " " + strconv.Itoa(receive)))
}

func parseHandle(handle string) (id string, receive int, err error) {
	if handle == "" {
		return "", 0, errMissing("ReceiptHandle")
	}
	text, err := base64.StdEncoding.DecodeString(handle)
	if err != nil {
		return "", 0, errHandle(handle)
	}
	id, count, _ := strings.Cut(string(text), " ")
	receive, err = strconv.Atoi(count)
	if err != nil {
		return "", 0, errHandle(handle)
	}
	return id, receive, nil
}
