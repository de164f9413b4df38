package sheet

import (
	"math"
	"strconv"
	"strings"
)

// MaxAmount is the largest number that a cell may hold: a hundred trillion. Whole numbers up to it are exact as a float64.
const MaxAmount = 100_000_000_000_000

// Whole reads a whole number from 0 to MaxAmount without sign or spaces, and otherwise says what is wrong with it.
func Whole[T string | []byte](cell T) (value int64, reason string) {
	if len(cell) == 0 {
		return 0, "is empty: expected a whole number"
	}
	for i := range len(cell) {
		c := cell[i]
		if c < '0' || c > '9' {
			if i == 0 && c == '-' && len(cell) > 1 {
				return 0, "is negative"
			}
			return 0, "is not a whole number"
		}
		value = value*10 + int64(c-'0')
		if value > MaxAmount {
			return 0, "is above 100,000,000,000,000"
		}
	}
	return value, ""
}

// Decimal reads a number from 0 to MaxAmount with a decimal point, as programs write it (1e6 is one), and otherwise says
// what is wrong with it.
func Decimal[T string | []byte](cell T) (value float64, reason string) {
	text := string(cell)
	value, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "":
		return 0, "is empty: expected a number"
	case strings.ContainsAny(text, "xXpP_"):
		return 0, "is not a decimal number"
	case math.IsNaN(value) || math.IsInf(value, 0):
		return 0, "is not a finite number"
	case err != nil:
		return 0, "is not a number: expected digits with a decimal point, no group separators, no unit"
	case math.Signbit(value):
		return 0, "is negative"
	case value > MaxAmount:
		return 0, "is above 100,000,000,000,000"
	}
	return value, ""
}

// IsCurrency reports whether a cell looks like a code of ISO 4217: three capital letters.
func IsCurrency[T string | []byte](cell T) bool {
	const letters = 3
	for i := range len(cell) {
		if cell[i] < 'A' || cell[i] > 'Z' {
			return false
		}
	}
	return len(cell) == letters
}

// Quote shows a piece of a file in an error without flooding the log.
func Quote[T string | []byte](text T) string {
	const longest = 40
	if len(text) > longest {
		return strconv.Quote(string(text[:longest])) + "…"
	}
	return strconv.Quote(string(text))
}

// Grouped writes a whole number, not below 0, for people, its digits in groups of three with commas between.
func Grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
