package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration reads a duration as [time.ParseDuration] does, with an optional whole number of days in front: 15m, 30d,
// 1d12h. Negative durations are refused, and so are those that need more than 292 years.
func ParseDuration(s string) (time.Duration, error) {
	var days time.Duration
	rest := s
	if number, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || time.Duration(n) > math.MaxInt64/day {
			return 0, errors.New("not a duration, which looks like 90s, 15m or 30d")
		}
		days, rest = time.Duration(n)*day, after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	switch {
	case err != nil || strings.HasPrefix(rest, "+"):
		return 0, errors.New("not a duration, which looks like 90s, 15m or 30d")
	case d < 0 || strings.HasPrefix(rest, "-"):
		return 0, errors.New("a duration may not be negative")
	case d > math.MaxInt64-days:
		return 0, errors.New("a duration of more than 292 years")
	}
	return days + d, nil
}
