package model

import "strconv"

const meltHeader = "EventId,EventRate,MeanLoss,SDLoss,MaxLoss"

// ReadMelt reads a catalogue of events from the columns of a moment event loss table that the model uses, as WriteMelt
// writes it. Rows must ascend by EventId; a MaxLoss of 0 is none. Errors are *InputError.
func ReadMelt(file string, content []byte) ([]Event, error) {
	t, err := openTable(file, content, meltHeader)
	if err != nil {
		return nil, err
	}
	var events []Event
	for t.next() {
		var e Event
		if e.ID, err = t.amount(0); err != nil {
			return nil, err
		}
		for i, into := range []*float64{&e.Rate, &e.Mean, &e.SD, &e.Max} {
			field := i + 1
			value, reason := parseDecimal(t.fields[field])
			if reason != "" {
				return nil, t.at(field, "%s %s %s", t.name(field), quote(t.fields[field]), reason)
			}
			*into = value
		}
		if n := len(events); n > 0 && e.ID <= events[n-1].ID {
			return nil, t.at(0, "event %d does not come after event %d: rows must ascend", e.ID, events[n-1].ID)
		}
		if reason := e.problem(); reason != "" {
			return nil, t.at(0, "event %d: %s", e.ID, reason)
		}
		events = append(events, e)
	}
	return events, t.err
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
