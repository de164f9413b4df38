package model

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
)

// MaxPeriods is the largest number of simulated years.
const MaxPeriods = 10_000_000

// Parts of an occurrence's number: PPPPPPPP DDD K NN.
const (
	sameDay   = 100           // occurrences of one peril on one day, counted from 0
	perDay    = 10 * sameDay  // perils have one digit
	perPeriod = 1000 * perDay // days have three
)

// An Occurrence is one event of the catalogue happening in one simulated year. Its ID says when: period × 1,000,000 +
// day × 1,000 + peril × 100 + a count within the day. Ascending by ID is therefore the order in which things happen, in
// one table and across perils; the ID is unique in all of a run's tables.
type Occurrence struct {
	Period   int64 // simulated year, from 1
	ID       int64
	Event    int64 // of the peril's catalogue
	Currency Currency
	Loss     int64 // of the whole industry
}

// Day returns the day of the year, 1 to 365.
func (o Occurrence) Day() int { return int(o.ID % perPeriod / perDay) }

// A PeriodLoss is what one occurrence costs somebody, in whole units of one currency.
type PeriodLoss struct {
	Period     int64
	Occurrence int64 // its ID
	Currency   Currency
	Loss       int64
	Premium    int64 // reinstatement premium that becomes due to whoever bears the loss
}

func (l PeriodLoss) compare(other PeriodLoss) int {
	if c := cmp.Compare(l.Occurrence, other.Occurrence); c != 0 {
		return c
	}
	return cmp.Compare(l.Currency, other.Currency)
}

const (
	occurrencesHeader = "period,occurrence,event,currency,loss"
	lossesHeader      = "period,occurrence,currency,loss,reinstatement_premium"
)

// ReadOccurrences reads an occurrence table. Rows must ascend by occurrence and hold one currency, and periods must lie in
// [1, periods]. Errors hold an *InputError for each row that is wrong.
func ReadOccurrences(file string, content []byte, periods int) ([]Occurrence, error) {
	t, err := openTable(file, content, occurrencesHeader)
	if err != nil {
		return nil, err
	}
	occurrences := make([]Occurrence, 0, bytes.Count(content, []byte{'\n'}))
	var last Occurrence
	for t.next() {
		var o Occurrence
		o.Period, o.ID = t.when(periods)
		o.Event, o.Currency, o.Loss = t.amount(2), t.currency(3), t.amount(4)
		if !t.good() {
			continue
		}
		if o.ID <= last.ID {
			t.reject(1, "occurrence %d does not come after %d: rows must ascend", o.ID, last.ID)
			continue
		}
		if last.ID > 0 && o.Currency != last.Currency {
			t.reject(3, "currency %s, but the rows above are in %s", o.Currency, last.Currency)
			continue
		}
		last = o
		occurrences = append(occurrences, o)
	}
	return occurrences, t.err()
}

// ReadLosses reads a table of period losses. Rows must ascend by occurrence and, within it, by currency; periods must lie
// in [1, periods]. Errors hold an *InputError for each row that is wrong.
func ReadLosses(file string, content []byte, periods int) ([]PeriodLoss, error) {
	t, err := openTable(file, content, lossesHeader)
	if err != nil {
		return nil, err
	}
	losses := make([]PeriodLoss, 0, bytes.Count(content, []byte{'\n'}))
	var last PeriodLoss
	for t.next() {
		var l PeriodLoss
		l.Period, l.Occurrence = t.when(periods)
		l.Currency, l.Loss, l.Premium = t.currency(2), t.amount(3), t.amount(4)
		if !t.good() {
			continue
		}
		if l.compare(last) <= 0 {
			t.reject(1, "occurrence %d in %s does not come after %d in %s: rows must ascend", l.Occurrence, l.Currency, last.Occurrence, last.Currency)
			continue
		}
		last = l
		losses = append(losses, l)
	}
	return losses, t.err()
}

// when reads the two columns that every table begins with.
func (t *table) when(periods int) (period, occurrence int64) {
	period, occurrence = t.amount(0), t.amount(1)
	switch {
	case !t.good():
	case period < 1 || period > int64(periods):
		t.reject(0, "period %d outside 1 to %d", period, periods)
	case occurrence/perPeriod != period:
		t.reject(1, "occurrence %d is not of period %d: its number is period × 1,000,000 + day × 1,000 + peril × 100 + count", occurrence, period)
	}
	return period, occurrence
}

const bytesPerRow = 36 // usually

// WriteOccurrences formats an occurrence table.
func WriteOccurrences(occurrences []Occurrence) []byte {
	out := append(make([]byte, 0, bytesPerRow*(len(occurrences)+1)), occurrencesHeader+"\n"...)
	for _, o := range occurrences {
		out = appendWhen(out, o.Period, o.ID)
		out = strconv.AppendInt(out, o.Event, 10)
		out = append(append(append(out, ','), o.Currency...), ',')
		out = appendRow(out, o.Loss)
	}
	return out
}

// WriteLosses formats a table of period losses.
func WriteLosses(losses []PeriodLoss) []byte {
	out := append(make([]byte, 0, bytesPerRow*(len(losses)+1)), lossesHeader+"\n"...)
	for _, l := range losses {
		out = appendWhen(out, l.Period, l.Occurrence)
		out = append(append(out, l.Currency...), ',')
		out = appendRow(out, l.Loss, l.Premium)
	}
	return out
}

func appendWhen(out []byte, period, occurrence int64) []byte {
	out = append(strconv.AppendInt(out, period, 10), ',')
	return append(strconv.AppendInt(out, occurrence, 10), ',')
}

// merge puts the occurrences of several perils into the order in which they happen.
func merge(tables [][]Occurrence) []Occurrence {
	if len(tables) == 1 {
		return tables[0]
	}
	merged := slices.Concat(tables...)
	slices.SortFunc(merged, func(a, b Occurrence) int { return cmp.Compare(a.ID, b.ID) })
	return merged
}
