package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"spate/examples/reinsurance/sheet"
)

// MaxAmount is the largest amount in a table, in whole units of its currency: a hundred trillion, far beyond any event
// (in yen, the damage of a hundred great earthquakes), and small enough that every amount is exact as a float64.
const MaxAmount = sheet.MaxAmount

// A Currency is a code of ISO 4217: three capital letters.
type Currency string

func (c Currency) validate(name string) error {
	if !sheet.IsCurrency(string(c)) {
		return badParam("%s %q is not a currency code such as USD", name, string(c))
	}
	return nil
}

// Rates are what one unit of each currency is worth, in units of one of them, whose rate is 1.
type Rates map[Currency]float64

func (r Rates) validate() error {
	unit := false
	for _, code := range slices.Sorted(maps.Keys(r)) {
		if err := code.validate("currency"); err != nil {
			return err
		}
		if rate := r[code]; !(rate >= leastRate && rate <= mostRate) {
			return badParam("rate %v of %s outside %v to %v", rate, code, leastRate, mostRate)
		}
		unit = unit || r[code] == 1
	}
	if !unit {
		return badParam("no currency has the rate 1: which one are the others expressed in?")
	}
	return nil
}

const (
	leastRate = 1e-6
	mostRate  = 1e6
)

// Convert returns an amount in another currency, rounded to whole units, halves away from zero. An amount in the same
// currency stays as it is, whether the rates have the currency or not.
func (r Rates) Convert(amount int64, from, to Currency) (int64, error) {
	if from == to {
		return amount, nil
	}
	for _, code := range []Currency{from, to} {
		if _, known := r[code]; !known {
			return 0, &InputError{File: ratesInput, Reason: fmt.Sprintf("has no rate for %s: cannot convert %s to %s", code, from, to)}
		}
	}
	converted := math.Round(float64(amount) * r[from] / r[to])
	if math.Abs(converted) > MaxAmount {
		return 0, &InputError{File: ratesInput, Reason: fmt.Sprintf("%d %s are more than %d %s", amount, from, int64(MaxAmount), to)}
	}
	return int64(converted), nil
}

const ratesHeader = "currency,rate"

// ReadRates reads a table of exchange rates, ascending by currency. Errors hold an *InputError for each row that is wrong.
func ReadRates(file string, content []byte) (Rates, error) {
	t, err := openTable(file, content, ratesHeader)
	if err != nil {
		return nil, err
	}
	rates := Rates{}
	last := Currency("")
	for t.next() {
		code, rate := t.currency(0), t.decimal(1)
		if t.good() && !(rate >= leastRate && rate <= mostRate) {
			t.reject(1, "rate %s is outside %v to %v", sheet.Quote(t.fields[1]), leastRate, float64(mostRate))
		}
		if !t.good() {
			continue
		}
		if code <= last {
			t.reject(0, "currency %s does not come after %s: rows must ascend", code, last)
			continue
		}
		last = code
		rates[code] = rate
	}
	return rates, t.err()
}

// WriteRates formats a table of exchange rates.
func WriteRates(rates Rates) []byte {
	out := []byte(ratesHeader + "\n")
	for _, code := range slices.Sorted(maps.Keys(rates)) {
		out = append(out, code...)
		out = append(out, ',')
		out = strconv.AppendFloat(out, rates[code], 'f', -1, 64)
		out = append(out, '\n')
	}
	return out
}

// ExchangeParams are the parameters of exchange-rates.
type ExchangeParams struct {
	Rates Rates `json:"rates"`
}

// exchangeTask writes its parameters as rates.csv, so that other jobs depend on the rates as they do on any table.
func exchangeTask(params []byte, inputs map[string][]byte) (map[string][]byte, error) {
	var p ExchangeParams
	if err := decodeParams(params, &p); err != nil {
		return nil, err
	}
	if err := noInputs(TaskExchange, inputs); err != nil {
		return nil, err
	}
	if err := p.Rates.validate(); err != nil {
		return nil, err
	}
	return map[string][]byte{RatesFile: WriteRates(p.Rates)}, nil
}

// readRates reads the staged rates; without any, only amounts of one currency can meet.
func readRates(inputs map[string][]byte) (Rates, error) {
	content, staged := inputs[ratesInput]
	if !staged {
		return Rates{}, nil
	}
	return ReadRates(ratesInput, content)
}

func marshal(value any) ([]byte, error) {
	document, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	return append(document, '\n'), nil
}
