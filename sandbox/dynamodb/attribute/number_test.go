package attribute_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spate/sandbox/dynamodb/attribute"
)

func decimals() *rapid.Generator[string] {
	return rapid.Custom(func(r *rapid.T) string {
		return fmt.Sprintf("%se%d", rapid.StringMatching(`-?[0-9]{1,9}(\.[0-9]{0,9})?`).Draw(r, "digits"), rapid.IntRange(-12, 12).Draw(r, "exponent"))
	})
}

func parse(t rapid.TB, text string) (attribute.Number, *big.Rat) {
	n, err := attribute.ParseNumber(text)
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%s is no number for math/big", text)
	}
	return n, exact
}

func TestNumbersAgreeWithRationals(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, exactA := parse(r, decimals().Draw(r, "a"))
		b, exactB := parse(r, decimals().Draw(r, "b"))
		order := exactA.Cmp(exactB)
		if got := a.Compare(b); got != order {
			r.Errorf("compare %s with %s: %d, want %d", a, b, got, order)
		}
		if got := strings.Compare(string(a.AppendOrdered(nil)), string(b.AppendOrdered(nil))); got != order {
			r.Errorf("order of the bytes of %s and %s: %d, want %d", a, b, got, order)
		}
		if (a == b) != (order == 0) {
			r.Errorf("%s == %s is %v", a, b, a == b)
		}
		for name, row := range map[string]struct {
			do   func(attribute.Number) (attribute.Number, error)
			want *big.Rat
		}{
			"sum":        {a.Add, new(big.Rat).Add(exactA, exactB)},
			"difference": {a.Sub, new(big.Rat).Sub(exactA, exactB)},
		} {
			got, err := row.do(b)
			if err != nil {
				continue // more than 38 digits: the next test has the limits
			}
			if v, ok := new(big.Rat).SetString(got.String()); !ok || v.Cmp(row.want) != 0 {
				r.Errorf("%s of %s and %s: %s, want %s", name, a, b, got, row.want.RatString())
			}
		}
		if again, err := attribute.ParseNumber(a.String()); err != nil || again != a {
			r.Errorf("%s read again: %s, %v", a, again, err)
		}
	})
}

func TestNumbersBeyondTheLimitsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "cannot be converted to a numeric value",
		"abc":                   "cannot be converted to a numeric value: abc",
		"1e":                    "cannot be converted to a numeric value: 1e",
		"--1":                   "cannot be converted to a numeric value: --1",
		".":                     "cannot be converted to a numeric value: .",
		"0x10":                  "cannot be converted to a numeric value: 0x10",
		"1e126":                 "Number overflow",
		"-1e126":                "Number overflow",
		"1e-131":                "Number underflow",
		strings.Repeat("9", 39): "more than 38 significant digits",
	} {
		if _, err := attribute.ParseNumber(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"9.9999999999999999999999999999999999999E+125", "1E-130", "-1E-130", strings.Repeat("9", 38)} {
		if _, err := attribute.ParseNumber(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	large, _ := parse(t, strings.Repeat("9", 38))
	small, _ := parse(t, "0.5")
	if sum, err := large.Add(small); err == nil {
		t.Errorf("a sum of 39 digits is %s", sum)
	}
}

func TestInt64RoundsTowardsZero(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "0.9": 0, "-1.9": -1, "1500": 1500, "1763715600.25": 1763715600, "9223372036854775807": 1<<63 - 1} {
		n, _ := parse(t, text)
		if got, ok := n.Int64(); !ok || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"9223372036854775808", "1e30"} {
		n, _ := parse(t, text)
		if got, ok := n.Int64(); ok {
			t.Errorf("%s: %d, want none", text, got)
		}
	}
}
