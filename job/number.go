package job

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// maxExactInteger is 2⁵³ in digits: beyond it a float64, and so canonical JSON, cannot tell neighbouring integers apart.
const maxExactInteger = "9007199254740992"

// checkNumber says why a JSON number would not survive canonical JSON, or "". What is written as an integer must stay
// exact; what is written with a point or an exponent is a float64 and is rounded to the nearest.
func checkNumber(text string) (why string) {
	if !strings.ContainsAny(text, ".eE") {
		// Digits are compared as text: a float64 would already have lost what is looked for. JSON allows no leading zeros.
		digits := strings.TrimPrefix(text, "-")
		if len(digits) > len(maxExactInteger) || len(digits) == len(maxExactInteger) && digits > maxExactInteger {
			return fmt.Sprintf("integer %s is beyond 2^53, where numbers lose digits: write it as a string", clip(text))
		}
		return ""
	}
	f, err := strconv.ParseFloat(text, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	switch {
	case err != nil || math.IsInf(f, 0):
		return fmt.Sprintf("number %s is beyond what a 64-bit float can hold: write it as a string", clip(text))
	case f == 0 && strings.ContainsAny(mantissa, "123456789"):
		return fmt.Sprintf("number %s is too small for a 64-bit float: write it as a string, or as 0", clip(text))
	}
	return ""
}

// decimalNumber is a plain word that YAML 1.2's core schema takes for a number, in parts: sign, digits before the point,
// point and digits behind it, exponent. prefixedNumber is one in another base.
var (
	decimalNumber  = regexp.MustCompile(`^([-+]?)([0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?$`)
	prefixedNumber = regexp.MustCompile(`^[-+]?0[xob][0-9a-fA-F]+$`)
)

// looksNumeric reports whether a plain YAML word is a number, though the YAML parser took it for text, as it does with
// numbers that it cannot hold.
func looksNumeric(word string) bool {
	m := decimalNumber.FindStringSubmatch(word)
	return m != nil && (m[2] != "" || len(m[3]) > 1) || prefixedNumber.MatchString(word)
}

// yamlNumber writes a plain YAML number as JSON, or says why it is refused: YAML 1.1 and 1.2 read leading zeros and
// underscores differently.
func yamlNumber(word string) (text, why string) {
	if prefixedNumber.MatchString(word) {
		i, err := strconv.ParseInt(word, 0, 64)
		if err != nil {
			return "", fmt.Sprintf("number %s does not fit 64 bits: write it as a string", clip(word))
		}
		text = strconv.FormatInt(i, 10)
		return text, checkNumber(text)
	}
	parts := decimalNumber.FindStringSubmatch(word)
	if parts == nil {
		return "", fmt.Sprintf("number %s is read differently by different programs: put quotes around it, or write plain digits", clip(word))
	}
	sign, digits, fraction, exponent := strings.TrimPrefix(parts[1], "+"), parts[2], parts[3], parts[4]
	switch {
	case len(digits) > 1 && digits[0] == '0':
		return "", fmt.Sprintf("number %s begins with 0, which some programs read as octal: put quotes around it, or leave the 0 out", clip(word))
	case digits == "":
		digits = "0"
	}
	if fraction == "." {
		fraction = ".0"
	}
	text = sign + digits + fraction + exponent
	return text, checkNumber(text)
}
