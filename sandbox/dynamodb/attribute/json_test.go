package attribute_test

import (
	"strings"
	"testing"

	"spate/sandbox/dynamodb/attribute"
)

func TestImproperValuesAreRefused(t *testing.T) {
	deep := strings.Repeat(`{"L":[`, 40) + strings.Repeat(`]}`, 40)
	for text, want := range map[string]string{
		`{"a":{}}`:                      "Supplied AttributeValue is empty",
		`{"a":{"X":"1"}}`:               "Supplied AttributeValue is empty",
		`{"a":{"S":"x","N":"1"}}`:       "Supplied AttributeValue has more than one datatypes set",
		`{"a":{"NULL":false}}`:          "Null attribute value types must have the value of true",
		`{"a":{"SS":[]}}`:               "An string set  may not be empty",
		`{"a":{"NS":["1","1.0"]}}`:      "contains duplicates",
		`{"a":` + deep + `}`:            "Nesting Levels have exceeded supported limits",
		`{"a":{"B":"%%%"}}`:             "decode binary value",
		`{"a":{"S":1}}`:                 "read string",
		`{"a":{"S":"x"}`:                "read attribute value",
		`{"a":{"S":"x"},"a":{"S":"y"}}`: "duplicate",
		"{\"a\":{\"S\":\"\xff\"}}":      "invalid UTF-8",
	} {
		var item attribute.Item
		if err := item.UnmarshalJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error is %v, want %s", text, err, want)
		}
	}
}

func TestSizesFollowTheServicesRules(t *testing.T) {
	for text, want := range map[string]int{
		`{"ab":{"S":"käse"}}`:                7, // 2 + 5 bytes
		`{"n":{"N":"-12345"}}`:               6, // 1 + 3 for 5 digits + 1 + 1 for the sign
		`{"t":{"BOOL":true}}`:                2, //
		`{"l":{"L":[{"S":"abc"}]}}`:          8, // 1 + 3 + 1 + 3
		`{"m":{"M":{"k":{"S":"abc"}}}}`:      9, // 1 + 3 + 1 + 1 + 3
		`{"s":{"SS":["abc","de"]}}`:          6, // 1 + 5
		`{"a":{"B":"AAAA"},"b":{"S":"123"}}`: 8, // 1 + 3 + 1 + 3
	} {
		var item attribute.Item
		if err := item.UnmarshalJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := item.ItemSize(); got != want {
			t.Errorf("%s: %d bytes, want %d", text, got, want)
		}
	}
}

func FuzzItem(f *testing.F) {
	for _, text := range []string{
		`{"a":{"S":"x"},"b":{"N":"1e5"}}`, `{"a":{"L":[{"M":{"x":{"BS":["AA=="]}}}]}}`, `{"a":{"NULL":true},"b":{"NS":["2","1"]}}`, `null`, `{"a":{"S":null}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var item attribute.Item
		if item.UnmarshalJSON([]byte(text)) != nil || item == nil {
			return
		}
		written, err := item.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var again attribute.Item
		if err := again.UnmarshalJSON(written); err != nil {
			t.Fatalf("%s was written as %s: %v", text, written, err)
		}
		if !attribute.Equal(item, again) {
			t.Errorf("%s came back as %s", text, written)
		}
	})
}
