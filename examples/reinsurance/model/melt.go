package model

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"spate/examples/reinsurance/sheet"
)

const meltHeader = "EventId,EventRate,MeanLoss,SDLoss,MaxLoss"

// ReadMelt reads a catalogue of events from the columns of a moment event loss table that the model uses, as WriteMelt
// writes it. Rows must ascend by EventId; a MaxLoss of 0 is none. Errors hold an *InputError for each row that is wrong.
func ReadMelt(file string, content []byte) ([]Event, error) {
	return readEvents(file, content, Event.problem)
}

// readEvents reads events with which problem finds nothing wrong in any column.
func readEvents(file string, content []byte, problem func(Event) (column, reason string)) ([]Event, error) {
	t, err := openTable(file, content, meltHeader)
	if err != nil {
		return nil, err
	}
	var events []Event
	last := int64(0)
	for t.next() {
		e := Event{ID: t.amount(0), Rate: t.decimal(1), Mean: t.decimal(2), SD: t.decimal(3), Max: t.decimal(4)}
		if !t.good() {
			continue
		}
		if e.ID <= last {
			t.reject(0, "event %d does not come after event %d: rows must ascend", e.ID, last)
			continue
		}
		last = e.ID
		if column, reason := problem(e); reason != "" {
			field := slices.Index(strings.Split(meltHeader, ","), column)
			t.reject(field, "%s %s %s", column, sheet.Quote(t.fields[field]), reason)
			continue
		}
		events = append(events, e)
	}
	return events, t.err()
}

// WriteMelt formats a catalogue of events.
func WriteMelt(events []Event) []byte {
	out := []byte(meltHeader + "\n")
	for _, e := range events {
		out = strconv.AppendInt(out, e.ID, 10)
		for _, value := range []float64{e.Rate, e.Mean, e.SD, e.Max} {
			out = strconv.AppendFloat(append(out, ','), value, 'f', -1, 64)
		}
		out = append(out, '\n')
	}
	return out
}

// MeltOptions choose among the rows of a moment event loss table that holds more than one row an event, and say what its
// events must be.
type MeltOptions struct {
	SummaryID  int64      // 0: the table must hold one SummaryId only
	SampleType int64      // 1 for analytical means, 2 for sampled ones; 0: the table must hold one SampleType only
	Catalogue  *Catalogue // that the events must be in, where the table is a cedant's; nil: the table is a catalogue itself
}

const mostSampleType = 2

// ImportMelt reads a moment event loss table of Open Results Data from another program, with its columns in any order:
// EventId, EventRate, MeanLoss and SDLoss, and, where they are, MaxLoss, SummaryId and SampleType. Events ascend in the
// result. Errors are sheet.InputErrors: all that is wrong with the file.
func ImportMelt(file string, content []byte, o MeltOptions) ([]Event, error) {
	s, err := sheet.Open(file, content, sheet.Columns{
		Required: []string{"EventId", "EventRate", "MeanLoss", "SDLoss"},
		Optional: []string{"MaxLoss", "SummaryId", "SampleType"},
		Ignored: []string{
			"ChanceOfLoss", "SDLossInd", "SDLossCor", "FootprintExposure", "FootprintNumLocs",
			"MeanImpactedExposure", "MeanImpactedNumLocs", "MaxImpactedExposure", "MaxImpactedNumLocs",
		},
	})
	if err != nil {
		return nil, err
	}
	summary := choice{column: "SummaryId", most: MaxAmount, wanted: o.SummaryID}
	sampleType := choice{column: "SampleType", most: mostSampleType, wanted: o.SampleType}
	var events []Event
	lines := map[int64]int{} // by event
	for s.Next() {
		known := s.Count()
		chosen := summary.chosen(s)
		chosen = sampleType.chosen(s) && chosen
		if !chosen {
			continue
		}
		e := Event{
			ID:   s.Whole("EventId", 1, MaxAmount),
			Rate: s.Decimal("EventRate", 0, mostEventRate),
			Mean: s.Decimal("MeanLoss", 0, MaxAmount),
			SD:   s.Decimal("SDLoss", 0, MaxAmount),
		}
		if s.Has("MaxLoss") {
			e.Max = s.Decimal("MaxLoss", 0, MaxAmount)
		}
		if !s.OK(known) {
			continue
		}
		if line, twice := lines[e.ID]; twice {
			s.Reject("EventId", "is the event of line %d again", line)
			continue
		}
		lines[e.ID] = s.Line()
		column, reason := o.Catalogue.problem(e)
		switch {
		case reason != "":
			s.Reject(column, "%s", reason)
		case s.Has("MaxLoss") && e.Max == 0:
			s.Reject("MaxLoss", "is below the mean, %s", decimal(e.Mean))
		}
		events = append(events, e)
	}
	if len(events) == 0 && s.Err() == nil {
		return nil, sheet.InputErrors{{File: file, Reason: "has no events"}}
	}
	slices.SortFunc(events, func(a, b Event) int { return cmp.Compare(a.ID, b.ID) })
	return events, s.Err()
}

// A choice is one value of a column that tells rows of the same event apart.
type choice struct {
	column string
	most   int64
	wanted int64 // 0: the first one seen, which must remain the only one
	asked  bool
}

// chosen reports whether the row is one of those wanted.
func (c *choice) chosen(s *sheet.Sheet) bool {
	if !s.Has(c.column) {
		return true
	}
	known := s.Count()
	value := s.Whole(c.column, 1, c.most)
	switch {
	case !s.OK(known):
		return false
	case c.wanted == 0:
		c.wanted, c.asked = value, true
	case value != c.wanted && c.asked:
		s.Reject(c.column, "is another one than %d above: choose one", c.wanted)
	}
	return value == c.wanted
}
