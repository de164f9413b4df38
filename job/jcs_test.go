package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
)

// This is a second implementation of RFC 8785, plain and slow, on the standard library's decoder. It shares no code with
// what it checks.

func decodePlain(t *testing.T, data []byte) map[string]any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func plainJCS(t *testing.T, v any) string {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return plainNumber(f)
	case string:
		return plainString(v)
	case []any:
		parts := make([]string, len(v))
		for i, element := range v {
			parts[i] = plainJCS(t, element)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		})
		parts := make([]string, len(v))
		for i, name := range names {
			parts[i] = plainString(name) + ":" + plainJCS(t, v[name])
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	t.Fatalf("%T is no JSON", v)
	return ""
}

func plainString(s string) string {
	short := map[rune]string{'\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`, '"': `\"`, '\\': `\\`}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		escaped, ok := short[r]
		switch {
		case ok:
			b.WriteString(escaped)
		case r < 0x20:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plainNumber is Number::toString of ECMAScript, in its own terms: k digits, the point after the n-th.
func plainNumber(f float64) string {
	if f == 0 {
		return "0"
	}
	if f < 0 {
		return "-" + plainNumber(-f)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	digits := strings.Replace(mantissa, ".", "", 1)
	e, _ := strconv.Atoi(exponent)
	k, n := len(digits), e+1
	switch {
	case k <= n && n <= 21:
		return digits + strings.Repeat("0", n-k)
	case 0 < n && n <= 21:
		return digits[:n] + "." + digits[n:]
	case -6 < n && n <= 0:
		return "0." + strings.Repeat("0", -n) + digits
	case k == 1:
		return fmt.Sprintf("%se%+d", digits, n-1)
	}
	return fmt.Sprintf("%s.%se%+d", digits[:1], digits[1:], n-1)
}

func TestCanonicalNumbersAreThoseOfRFC8785(t *testing.T) {
	for text, want := range map[string]string{ // from its appendix B and section 3.2.2.3
		"-0": "0", "0.0": "0", "5e-324": "5e-324", "-5e-324": "-5e-324", "1.7976931348623157e308": "1.7976931348623157e+308",
		"9007199254740992": "9007199254740992", "295147905179352830000": "295147905179352830000",
		"9.999999999999997e22": "9.999999999999997e+22", "1e23": "1e+23", "1.0000000000000001e23": "1.0000000000000001e+23",
		"999999999999999700000": "999999999999999700000", "999999999999999900000": "999999999999999900000", "1e21": "1e+21",
		"9.999999999999997e-7": "9.999999999999997e-7", "0.000001": "0.000001", "333333333.33333329": "333333333.3333333",
		"4.50": "4.5", "2e-3": "0.002", "1E30": "1e+30", "0.000000000000000000000000001": "1e-27",
	} {
		got, err := canonicalJSON(jsontext.Value(`{"n":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"n":` + want + `}`; string(got) != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		if plain := plainJCS(t, decodePlain(t, []byte(`{"n":`+text+`}`))); plain != string(got) {
			t.Errorf("%s: the second implementation says %s, the first %s", text, plain, got)
		}
	}
}
