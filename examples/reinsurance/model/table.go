package model

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// MaxAmount is the largest amount in a table, in US dollars: a hundred trillion, far beyond any event, and small enough
// that every amount is exact as a float64.
const MaxAmount = 100_000_000_000_000

// MaxPeriods is the largest number of simulated years.
const MaxPeriods = 10_000_000

// An Event is one simulated hurricane. Its id is unique in its table and says when it happened: period × 1,000 +
// category × 100 + a count from 0 within the category and period.
type Event struct {
	Period   int64 // simulated year, from 1
	ID       int64
	Category int64 // Saffir–Simpson category
	Loss     int64 // of the whole industry, US dollars
}

// An EventLoss is what one event costs somebody, in US dollars.
type EventLoss struct {
	Period int64
	Event  int64
	Loss   int64
}

const (
	eventsHeader = "period,event,category,loss"
	lossesHeader = "period,event,loss"
)

// ReadEvents reads an occurrence table. Rows must ascend by event, and periods must lie in [1, periods]. Errors are
// *InputError.
func ReadEvents(file string, content []byte, periods int) ([]Event, error) {
	events := make([]Event, 0, bytes.Count(content, []byte{'\n'}))
	err := readTable(file, content, eventsHeader, periods, func(row []int64) {
		events = append(events, Event{Period: row[0], ID: row[1], Category: row[2], Loss: row[3]})
	})
	return events, err
}

// ReadLosses reads a table of losses by event, under the same rules as ReadEvents.
func ReadLosses(file string, content []byte, periods int) ([]EventLoss, error) {
	losses := make([]EventLoss, 0, bytes.Count(content, []byte{'\n'}))
	err := readTable(file, content, lossesHeader, periods, func(row []int64) {
		losses = append(losses, EventLoss{Period: row[0], Event: row[1], Loss: row[2]})
	})
	return losses, err
}

// WriteEvents formats an occurrence table.
func WriteEvents(events []Event) []byte {
	out := append(make([]byte, 0, 32*(len(events)+1)), eventsHeader+"\n"...)
	for _, e := range events {
		out = appendRow(out, e.Period, e.ID, e.Category, e.Loss)
	}
	return out
}

// WriteLosses formats a table of losses by event.
func WriteLosses(losses []EventLoss) []byte {
	out := append(make([]byte, 0, 32*(len(losses)+1)), lossesHeader+"\n"...)
	for _, l := range losses {
		out = appendRow(out, l.Period, l.Event, l.Loss)
	}
	return out
}

func appendRow(out []byte, fields ...int64) []byte {
	for i, field := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, field, 10)
	}
	return append(out, '\n')
}

// readTable calls row for each line of a CSV file of whole, non-negative numbers. The first two columns are the period
// and the event; the last is an amount. The slice handed to row is reused.
func readTable(file string, content []byte, header string, periods int, row func([]int64)) error {
	at := func(line, column int, format string, args ...any) error {
		return &InputError{File: file, Line: line, Column: column, Reason: fmt.Sprintf(format, args...)}
	}
	if bytes.HasPrefix(content, []byte("\xef\xbb\xbf")) {
		return at(1, 1, "starts with a byte order mark: save as plain UTF-8")
	}
	if len(content) == 0 {
		return at(0, 0, "is empty: expected the header %q", header)
	}
	if content[len(content)-1] != '\n' {
		return at(bytes.Count(content, []byte{'\n'})+1, 0, "the last line has no end: the file may have been cut off")
	}
	first, rest, _ := bytes.Cut(content, []byte{'\n'})
	if string(first) != header {
		return at(1, 1, "header %s, want %q", quote(first), header)
	}
	columns := strings.Split(header, ",")
	fields := make([]int64, len(columns))
	var lastPeriod, lastEvent int64
	for line := 2; len(rest) > 0; line++ {
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte{'\n'})
		if got := bytes.Count(text, []byte{','}) + 1; got != len(columns) {
			return at(line, 1, "%d columns, want %d (%s)", got, len(columns), header)
		}
		column := 1
		for i, name := range columns {
			var field []byte
			field, text, _ = bytes.Cut(text, []byte{','})
			value, reason := parseAmount(field)
			if reason != "" {
				return at(line, column, "%s %s %s", name, quote(field), reason)
			}
			fields[i] = value
			column += len(field) + 1
		}
		period, event := fields[0], fields[1]
		switch {
		case period < 1 || period > int64(periods):
			return at(line, 1, "period %d outside 1 to %d", period, periods)
		case event <= lastEvent || period < lastPeriod:
			return at(line, 1, "event %d of period %d does not come after event %d of period %d: rows must ascend", event, period, lastEvent, lastPeriod)
		}
		lastPeriod, lastEvent = period, event
		row(fields)
	}
	return nil
}

// parseAmount reads a whole number of at most MaxAmount without sign or spaces, and otherwise says what is wrong with it.
func parseAmount(field []byte) (value int64, reason string) {
	if len(field) == 0 {
		return 0, "is empty: expected a whole number"
	}
	for i, c := range field {
		if c < '0' || c > '9' {
			if i == 0 && c == '-' && len(field) > 1 {
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

// quote shows a piece of a file in an error without flooding the log.
func quote(text []byte) string {
	const longest = 40
	if len(text) > longest {
		return strconv.Quote(string(text[:longest])) + "…"
	}
	return strconv.Quote(string(text))
}
