package attribute

import (
	"math/big"
	"strconv"
	"strings"
)

// Limits of a DynamoDB number (Amazon DynamoDB developer guide, "Supported data types"): 38 significant digits, magnitudes from
// 1E-130 to 9.99…E+125. Exponents count in the form 0.digits × 10^exponent.
const (
	maxDigits   = 38
	minExponent = -129
	maxExponent = 126
)

// Number is an exact decimal of at most 38 significant digits. Two Numbers are numerically equal exactly when they are ==, however
// they were written. The zero value is 0.
type Number struct {
	digits   string // most significant first, without leading or trailing zeros; empty for 0
	exponent int    // the value is 0.digits × 10^exponent
	negative bool
}

// ParseNumber reads a decimal such as "12", "-0.5" or "1.2E+3". It fails with a ValidationError for text that is no number and
// for numbers beyond the limits above.
func ParseNumber(text string) (Number, error) {
	rest := text
	negative := false
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		negative = rest[0] == '-'
		rest = rest[1:]
	}
	exponent := 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		e, err := strconv.Atoi(rest[i+1:])
		if err != nil || e > 1_000_000 || e < -1_000_000 {
			return Number{}, notNumeric(text)
		}
		exponent, rest = e, rest[:i]
	}
	whole, fraction, _ := strings.Cut(rest, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return Number{}, notNumeric(text)
	}
	return normalize(negative, whole+fraction, exponent+len(whole))
}

func notNumeric(text string) error {
	if text == "" {
		return Invalid("The parameter cannot be converted to a numeric value")
	}
	return Invalid("The parameter cannot be converted to a numeric value: %s", text)
}

// normalize brings 0.digits × 10^exponent into the one form in which equal numbers are equal structs.
func normalize(negative bool, digits string, exponent int) (Number, error) {
	trimmed := strings.TrimLeft(digits, "0")
	exponent -= len(digits) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	switch {
	case trimmed == "":
		return Number{}, nil
	case len(trimmed) > maxDigits:
		return Number{}, Invalid("Attempting to store more than 38 significant digits in a Number")
	case exponent > maxExponent:
		return Number{}, Invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case exponent < minExponent:
		return Number{}, Invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return Number{digits: trimmed, exponent: exponent, negative: negative}, nil
}

// NumberFromInt returns n as a Number.
func NumberFromInt(n int64) Number {
	text := strconv.FormatInt(n, 10)
	digits, negative := strings.CutPrefix(text, "-")
	trimmed := strings.TrimRight(digits, "0")
	if trimmed == "" {
		return Number{}
	}
	return Number{digits: trimmed, exponent: len(digits), negative: negative}
}

// String writes n without an exponent where that is readable (up to 40 places either side of the point), else as d.dddE±n.
func (n Number) String() string {
	if n.digits == "" {
		return "0"
	}
	var b strings.Builder
	if n.negative {
		b.WriteByte('-')
	}
	switch size := len(n.digits); {
	case n.exponent > 40 || n.exponent < -40:
		b.WriteByte(n.digits[0])
		if size > 1 {
			b.WriteByte('.')
			b.WriteString(n.digits[1:])
		}
		b.WriteByte('E')
		if n.exponent > 0 {
			b.WriteByte('+')
		}
		b.WriteString(strconv.Itoa(n.exponent - 1))
	case n.exponent <= 0:
		b.WriteString("0.")
		b.WriteString(strings.Repeat("0", -n.exponent))
		b.WriteString(n.digits)
	case n.exponent >= size:
		b.WriteString(n.digits)
		b.WriteString(strings.Repeat("0", n.exponent-size))
	default:
		b.WriteString(n.digits[:n.exponent])
		b.WriteByte('.')
		b.WriteString(n.digits[n.exponent:])
	}
	return b.String()
}

// Int64 returns n rounded towards zero, and whether it fits.
func (n Number) Int64() (int64, bool) {
	if n.exponent <= 0 || n.digits == "" {
		return 0, true
	}
	if n.exponent > 19 {
		return 0, false
	}
	text := n.digits
	if len(text) > n.exponent {
		text = text[:n.exponent]
	}
	text += strings.Repeat("0", n.exponent-len(text))
	if n.negative {
		text = "-" + text
	}
	v, err := strconv.ParseInt(text, 10, 64)
	return v, err == nil
}

// Compare returns -1, 0 or 1 as n is less than, equal to or greater than m.
func (n Number) Compare(m Number) int {
	if s, t := n.sign(), m.sign(); s != t {
		if s < t {
			return -1
		}
		return 1
	}
	var order int
	switch {
	case n.exponent < m.exponent:
		order = -1
	case n.exponent > m.exponent:
		order = 1
	default:
		order = strings.Compare(n.digits, m.digits)
	}
	if n.negative {
		return -order
	}
	return order
}

func (n Number) sign() int {
	switch {
	case n.digits == "":
		return 0
	case n.negative:
		return -1
	default:
		return 1
	}
}

// Add returns n + m, exactly, or a ValidationError when the sum is beyond the limits of a number.
func (n Number) Add(m Number) (Number, error) {
	place := min(n.lowestPlace(), m.lowestPlace())
	sum := new(big.Int).Add(n.scaled(place), m.scaled(place))
	digits := new(big.Int).Abs(sum).String()
	return normalize(sum.Sign() < 0, digits, len(digits)+place)
}

// Sub returns n - m, with Add's conditions.
func (n Number) Sub(m Number) (Number, error) {
	if m.digits != "" {
		m.negative = !m.negative
	}
	return n.Add(m)
}

// lowestPlace is the power of ten of the last significant digit.
func (n Number) lowestPlace() int { return n.exponent - len(n.digits) }

// scaled returns n / 10^place as an integer; place is at most the lowest place of n.
func (n Number) scaled(place int) *big.Int {
	v := new(big.Int)
	if n.digits == "" {
		return v
	}
	v.SetString(n.digits+strings.Repeat("0", n.lowestPlace()-place), 10)
	if n.negative {
		v.Neg(v)
	}
	return v
}

// AppendOrdered appends bytes whose lexicographic order is the numeric order: sign, exponent, digits, all inverted for negative
// numbers and then closed by a byte above any digit, so that of two negative numbers the longer sorts first.
func (n Number) AppendOrdered(dst []byte) []byte {
	switch n.sign() {
	case 0:
		return append(dst, 0x80)
	case 1:
		e := n.exponent - minExponent
		return append(append(dst, 0x81, byte(e>>8), byte(e)), n.digits...)
	}
	e := n.exponent - minExponent
	dst = append(dst, 0x7f, ^byte(e>>8), ^byte(e))
	for i := range len(n.digits) {
		dst = append(dst, ^n.digits[i])
	}
	return append(dst, 0xff)
}
