package job

import (
	"strings"
	"testing"
)

func TestIntegersThatAFloatCannotTellApartAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"0": "", "-0": "", "1": "", "1.0": "", "1E5": "", "1e21": "", "5e-324": "", "1.7976931348623157e308": "", "0e999": "", "0.000e-999": "",
		"9007199254740991": "", "9007199254740992": "", "-9007199254740992": "", "9007199254740992.0": "", "9007199254740993.5": "",
		"9007199254740993": "beyond 2^53", "-9007199254740993": "beyond 2^53", "9007199254740994": "beyond 2^53",
		"9100000000000000": "beyond 2^53", "10000000000000000": "beyond 2^53", "18446744073709551616": "beyond 2^53",
		strings.Repeat("9", 1<<16): "beyond 2^53", "100000000000000000000": "beyond 2^53",
		"1e309": "beyond what a 64-bit float", "-1e309": "beyond what a 64-bit float", "1e400": "beyond what a 64-bit float",
		"1e-400": "too small", "-0.1e-400": "too small", "2e-324": "too small", "1e99999999999999999999": "beyond what a 64-bit float",
	} {
		got := checkNumber(text)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", clip(text), got, want)
		}
		if len(got) > 200 {
			t.Errorf("%s: the error has %d bytes", clip(text), len(got))
		}
	}
}

func TestYAMLScalarsAreWhatTheyLookLike(t *testing.T) {
	for yaml, want := range map[string]string{ // JSON, or what the error contains
		"1": "1", "-1": "-1", "+1": "1", "-0": "-0", "1.0": "1.0", ".5": "0.5", "-.5": "-0.5", "5.": "5.0", "1E5": "1E5", "1e5": "1e5",
		"1.e5": "1.0e5", "1.5e-3": "1.5e-3", "0x1F": "31", "-0x1F": "-31", "0o17": "15", "0b11": "3", "9007199254740992": "9007199254740992",
		"0": "0", "0.0": "0.0", "-0.0": "-0.0",
		"9007199254740993": "beyond 2^53", "0x20000000000001": "beyond 2^53", "0xFFFFFFFFFFFFFFFF": "does not fit 64 bits",
		"0xFFFFFFFFFFFFFFFFFFFF": "does not fit 64 bits", "99999999999999999999": "beyond 2^53",
		"1e400": "beyond what a 64-bit float", "1.0e400": "beyond what a 64-bit float", "1e-400": "too small",
		"0123": "begins with 0", "0888": "begins with 0", "-012": "begins with 0", "00.5": "begins with 0", "1_000": "read differently",
		"0x_1": "read differently", ".inf": "infinity and NaN", ".nan": "infinity and NaN",
		"true": "true", "True": "true", "false": "false", "yes": `"yes"`, "on": `"on"`, "no": `"no"`, "null": "null", "~": "null", "": "null",
		"2026-11-21": `"2026-11-21"`, "2026-11-21T03:00:00Z": `"2026-11-21T03:00:00Z"`, "12:30": `"12:30"`, "1.2.3": `"1.2.3"`,
		"1e": `"1e"`, "e1": `"e1"`, "x1": `"x1"`, ".e5": `".e5"`, "1e5x": `"1e5x"`, "30d": `"30d"`,
		`"1e400"`: `"1e400"`, `'0123'`: `"0123"`, `"\u2028"`: "\"\u2028\"", `"\ud83d\ude00"`: `"😀"`, "|-\n  1e400": `"1e400"`,
	} {
		errs := &Errors{}
		text, _ := toJSON("f", []byte("a: "+yaml+"\n"), errs)
		got := string(text)
		if err := errs.Err(); err != nil {
			got = err.Error()
			if !strings.Contains(got, want) || errs.Len() != 1 {
				t.Errorf("%s: %s, want %s", yaml, got, want)
			}
			continue
		}
		if want := `{"a":` + want + `}`; got != want {
			t.Errorf("%s: got %s, want %s", yaml, got, want)
		}
	}
}

func TestYAMLNamesAreTakenAsTheyStand(t *testing.T) {
	for _, name := range []string{"2026-11-21", "on", "off", "yes", "null", "~", "true", "1e400", "0x1F", "007", ".inf", "1.0", "größe", "a b"} {
		errs := &Errors{}
		text, _ := toJSON("f", []byte(name+": 1\n"), errs)
		if got, want := string(text), `{"`+name+`":1}`; got != want || errs.Len() > 0 {
			t.Errorf("%s: got %s, %v, want %s", name, got, errs.Err(), want)
		}
	}
}
