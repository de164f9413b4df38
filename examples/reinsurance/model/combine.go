package model

import (
	"fmt"
	"strings"

	"spate/examples/reinsurance/sheet"
)

// Combine adds losses and reinstatement premiums by occurrence and currency. Each table must ascend, and so does the sum.
// Amounts are whole units of money and currencies stay apart, so that neither the order of the tables nor their grouping
// matters to the result; the order is fixed all the same, for the sake of errors.
func Combine(tables [][]PeriodLoss) ([]PeriodLoss, error) {
	for len(tables) > 1 {
		// Pairs, then pairs of pairs: each row is touched log₂(tables) times.
		merged := make([][]PeriodLoss, 0, (len(tables)+1)/2)
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

func add(a, b []PeriodLoss) ([]PeriodLoss, error) {
	sum := make([]PeriodLoss, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch order := a[0].compare(b[0]); {
		case order < 0:
			sum, a = append(sum, a[0]), a[1:]
		case order > 0:
			sum, b = append(sum, b[0]), b[1:]
		default:
			row := a[0]
			row.Loss += b[0].Loss
			row.Premium += b[0].Premium
			if max(row.Loss, row.Premium) > MaxAmount {
				return nil, &InputError{File: "inputs", Reason: fmt.Sprintf("occurrence %d adds up to more than %d %s", row.Occurrence, int64(MaxAmount), row.Currency)}
			}
			sum, a, b = append(sum, row), a[1:], b[1:]
		}
	}
	return append(append(sum, a...), b...), nil
}

// convert returns the losses in one currency, added by occurrence, without those that are nothing in it. Each amount is
// converted by itself.
func convert(losses []PeriodLoss, rates Rates, to Currency) ([]PeriodLoss, error) {
	converted := make([]PeriodLoss, 0, len(losses))
	for _, l := range losses {
		var err error
		if l.Loss, err = rates.Convert(l.Loss, l.Currency, to); err != nil {
			return nil, err
		}
		if l.Premium, err = rates.Convert(l.Premium, l.Currency, to); err != nil {
			return nil, err
		}
		if l.Loss == 0 && l.Premium == 0 { // less than half a unit of the other currency
			continue
		}
		l.Currency = to
		if n := len(converted); n > 0 && converted[n-1].Occurrence == l.Occurrence {
			converted[n-1].Loss += l.Loss
			converted[n-1].Premium += l.Premium
			continue
		}
		converted = append(converted, l)
	}
	return converted, nil
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
	var tables [][]PeriodLoss
	for _, name := range sortedNames(inputs) {
		if !strings.HasSuffix(name, lossesSuffix) {
			return nil, notLosses(name)
		}
		losses, err := ReadLosses(name, inputs[name], MaxPeriods)
		if err != nil {
			return nil, err
		}
		tables = append(tables, losses)
	}
	sum, err := Combine(tables)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{LossesFile: WriteLosses(sum)}, nil
}

func notLosses(name string) error {
	return &InputError{File: name, Reason: "is not a table of losses: it is not called " + LossesFile}
}

// readKnownLosses reads a table of period losses, each of one of these occurrences.
func readKnownLosses(file string, content []byte, occurrences []Occurrence) ([]PeriodLoss, error) {
	losses, err := ReadLosses(file, content, MaxPeriods)
	if err != nil {
		return nil, err
	}
	next := 0
	var unknown sheet.InputErrors
	for i, l := range losses {
		for next < len(occurrences) && occurrences[next].ID < l.Occurrence {
			next++
		}
		if next == len(occurrences) || occurrences[next].ID != l.Occurrence {
			const headerLines = 1
			column := len(fmt.Sprint(l.Period)) + 2
			unknown = append(unknown, &InputError{File: file, Line: i + 1 + headerLines, Column: column, Reason: fmt.Sprintf("occurrence %d is not in any %s", l.Occurrence, OccurrencesFile)})
		}
	}
	if len(unknown) > 0 {
		return nil, unknown
	}
	return losses, nil
}

// A perilTable is the occurrence table of one peril.
type perilTable struct {
	name        string
	occurrences []Occurrence
}

func isOccurrences(name string) bool {
	return strings.HasPrefix(name, OccurrencesPrefix) && strings.HasSuffix(name, occurrencesSuffix)
}

// perilOf returns the name of the peril that a staged file is of.
func perilOf(file, suffix string) string {
	return strings.TrimSuffix(strings.TrimPrefix(file, OccurrencesPrefix), suffix)
}

// readPerils reads all staged occurrence tables, by ascending name. There must be at least one, and no occurrence in two.
func readPerils(inputs map[string][]byte, periods int) ([]perilTable, error) {
	var perils []perilTable
	numbers := map[int64]string{}
	for _, name := range sortedNames(inputs) {
		if !isOccurrences(name) {
			continue
		}
		occurrences, err := ReadOccurrences(name, inputs[name], periods)
		if err != nil {
			return nil, err
		}
		if len(occurrences) > 0 {
			number := occurrences[0].ID % perDay / sameDay
			if other, taken := numbers[number]; taken {
				return nil, &InputError{File: name, Reason: fmt.Sprintf("has the peril number %d, and so has %s", number, other)}
			}
			numbers[number] = name
		}
		perils = append(perils, perilTable{name: perilOf(name, occurrencesSuffix), occurrences: occurrences})
	}
	if len(perils) == 0 {
		return nil, &InputError{File: "inputs", Reason: "no occurrences-*/occurrences.csv: which events does it cover?"}
	}
	return perils, nil
}

func mergePerils(perils []perilTable) []Occurrence {
	tables := make([][]Occurrence, len(perils))
	for i, peril := range perils {
		tables[i] = peril.occurrences
	}
	return merge(tables)
}

// newYears adds losses by simulated year.
func newYears(periods int, losses []PeriodLoss) years {
	y := years{aggregate: make([]int64, periods), occurrence: make([]int64, periods)}
	for _, l := range losses {
		y.aggregate[l.Period-1] += l.Loss
		y.occurrence[l.Period-1] = max(y.occurrence[l.Period-1], l.Loss)
	}
	return y
}

// industryLosses are an occurrence table as losses.
func industryLosses(occurrences []Occurrence) []PeriodLoss {
	losses := make([]PeriodLoss, len(occurrences))
	for i, o := range occurrences {
		losses[i] = PeriodLoss{Period: o.Period, Occurrence: o.ID, Currency: o.Currency, Loss: o.Loss}
	}
	return losses
}
