package model

import (
	"fmt"
	"strings"
)

// Combine adds losses by event. Each table must ascend by event, and so does the sum. Amounts are whole dollars, so the
// order of the tables does not matter to the result; it is fixed all the same, for the sake of errors.
func Combine(tables [][]EventLoss) ([]EventLoss, error) {
	for len(tables) > 1 {
		// Pairs, then pairs of pairs: each row is touched log₂(tables) times.
		merged := make([][]EventLoss, 0, (len(tables)+1)/2)
		for i := 0; i < len(tables); i += 2 {
			if i+1 == len(tables) {
				merged = append(merged, tables[i])
				break
			}
			sum, err := add(tables[i], tables[i+1])
			if err != nil {
				return nil, err
			}
			merged = append(merged, sum)
		}
		tables = merged
	}
	if len(tables) == 0 {
		return nil, nil
	}
	return tables[0], nil
}

func add(a, b []EventLoss) ([]EventLoss, error) {
	sum := make([]EventLoss, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Event < b[0].Event:
			sum, a = append(sum, a[0]), a[1:]
		case a[0].Event > b[0].Event:
			sum, b = append(sum, b[0]), b[1:]
		default:
			row := EventLoss{Period: a[0].Period, Event: a[0].Event, Loss: a[0].Loss + b[0].Loss}
			if a[0].Period != b[0].Period {
				return nil, &InputError{File: "inputs", Reason: fmt.Sprintf("event %d is in period %d and in period %d", row.Event, a[0].Period, b[0].Period)}
			}
			if row.Loss > MaxAmount {
				return nil, &InputError{File: "inputs", Reason: fmt.Sprintf("event %d adds up to more than %d US dollars", row.Event, int64(MaxAmount))}
			}
			sum, a, b = append(sum, row), a[1:], b[1:]
		}
	}
	return append(append(sum, a...), b...), nil
}

// checkKnown reports the first loss of an event that the occurrence table does not have.
func checkKnown(file string, losses []EventLoss, events []Event) error {
	next := 0
	for i, l := range losses {
		for next < len(events) && events[next].ID < l.Event {
			next++
		}
		const headerLines = 1
		line := i + 1 + headerLines
		if next == len(events) || events[next].ID != l.Event {
			return &InputError{File: file, Line: line, Column: len(fmt.Sprint(l.Period)) + 2, Reason: fmt.Sprintf("event %d is not in %s", l.Event, OccurrencesFile)}
		}
		if events[next].Period != l.Period {
			return &InputError{File: file, Line: line, Column: 1, Reason: fmt.Sprintf("event %d is in period %d of %s, not %d", l.Event, events[next].Period, OccurrencesFile, l.Period)}
		}
	}
	return nil
}

// combineTask adds the losses of all its input directories, whatever their names, and writes losses.csv. It has no parameters.
func combineTask(params []byte, inputs map[string][]byte) (map[string][]byte, error) {
	var none struct{}
	if err := decodeParams(params, &none); err != nil {
		return nil, err
	}
	if len(inputs) == 0 {
		return nil, &InputError{File: "inputs", Reason: "nothing to combine"}
	}
	tables, err := readAllLosses(inputs, MaxPeriods, nil)
	if err != nil {
		return nil, err
	}
	sum, err := Combine(tables)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{LossesFile: WriteLosses(sum)}, nil
}

// readAllLosses reads every input but the occurrence table, by ascending name. If known is not nil, every loss must be of
// one of these events.
func readAllLosses(inputs map[string][]byte, periods int, known []Event) ([][]EventLoss, error) {
	var tables [][]EventLoss
	for _, name := range sortedNames(inputs) {
		if name == occurrencesInput {
			continue
		}
		if !strings.HasSuffix(name, lossesSuffix) {
			return nil, &InputError{File: name, Reason: "is not a table of losses: it is not called " + LossesFile}
		}
		losses, err := ReadLosses(name, inputs[name], periods)
		if err != nil {
			return nil, err
		}
		if known != nil {
			if err := checkKnown(name, losses, known); err != nil {
				return nil, err
			}
		}
		tables = append(tables, losses)
	}
	return tables, nil
}
