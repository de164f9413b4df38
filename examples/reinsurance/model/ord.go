package model

import (
	"slices"
	"strconv"
)

// Names of the files in the columns of Open Results Data, version 1, that the portfolio task writes: for programs that
// read the results of catastrophe models. SummaryId tells the perspectives apart.
const (
	SPLTFile = "splt.csv" // sample period loss table
	ALTFile  = "alt.csv"  // average loss table
	EPTFile  = "ept.csv"  // exceedance probability table
)

// SummaryId of each perspective.
const (
	summaryGross = iota + 1
	summaryCeded
	summaryNet
)

// Codes of Open Results Data.
const (
	sampleTypeSample    = 2 // SampleType: from samples, not analytical
	calcFullUncertainty = 2 // EPCalc
	typeOEP             = 1 // EPType
	typeOEPTVaR         = 2
	typeAEP             = 3
	typeAEPTVaR         = 4
)

type view struct {
	summary int64
	losses  []PeriodLoss
	years   years
}

func (r Result) views() []view {
	return []view{
		{summaryGross, r.Gross, r.gross},
		{summaryCeded, r.Ceded, r.ceded},
		{summaryNet, r.Net, r.net},
	}
}

// splt lists the losses of each perspective by occurrence. ImpactedExposure is left out, as the example knows no
// exposure; Occurrence and ReinstatementPremium are added at the end.
func (r Result) splt(b Book) []byte {
	tables := make([]perilTable, len(b.Industry))
	for i, industry := range b.Industry {
		tables[i].occurrences = industry.Occurrences
	}
	occurrences := mergePerils(tables)
	weight := strconv.FormatFloat(1/float64(r.Figures.Periods), 'g', -1, 64)
	out := []byte("Period,PeriodWeight,EventId,Year,Month,Day,Hour,Minute,SummaryId,SampleId,Loss,Occurrence,ReinstatementPremium\n")
	for _, view := range r.views() {
		next := 0
		for _, l := range view.losses {
			for occurrences[next].ID < l.Occurrence {
				next++
			}
			o := occurrences[next]
			month, day := date(o.Day())
			out = strconv.AppendInt(out, l.Period, 10)
			out = append(append(append(out, ','), weight...), ',')
			out = appendRow(out, o.Event, l.Period, month, day, 0, 0, view.summary, 1, l.Loss, l.Occurrence, l.Premium)
		}
	}
	return out
}

// alt gives the mean and the standard deviation of the annual loss.
func (r Result) alt() []byte {
	out := []byte("SummaryId,SampleType,MeanLoss,SDLoss\n")
	for _, view := range r.views() {
		mean, sd := meanAndDeviation(view.years.aggregate)
		out = strconv.AppendInt(out, view.summary, 10)
		out = append(strconv.AppendInt(append(out, ','), sampleTypeSample, 10), ',')
		out = append(appendCents(out, mean), ',')
		out = append(appendCents(out, sd), '\n')
	}
	return out
}

// ept gives the curves, longest return period first, and the mean of the losses beyond each point.
func (r Result) ept(returnPeriods []int) []byte {
	out := []byte("SummaryId,EPCalc,EPType,ReturnPeriod,Loss\n")
	for _, view := range r.views() {
		for _, curve := range []struct {
			sample            []int64
			kind, kindOfTails int64
		}{
			{view.years.occurrence, typeOEP, typeOEPTVaR},
			{view.years.aggregate, typeAEP, typeAEPTVaR},
		} {
			sorted := descending(curve.sample)
			row := func(kind int64, returnPeriod int, loss float64) {
				for _, field := range []int64{view.summary, calcFullUncertainty, kind, int64(returnPeriod)} {
					out = append(strconv.AppendInt(out, field, 10), ',')
				}
				out = append(appendCents(out, loss), '\n')
			}
			for _, years := range slices.Backward(returnPeriods) {
				row(curve.kind, years, float64(pointAt(sorted, years).Loss))
			}
			for _, years := range slices.Backward(returnPeriods) {
				tail, _ := tailValueAtRisk(sorted, years)
				row(curve.kindOfTails, years, tail)
			}
		}
	}
	return out
}

func appendCents(out []byte, amount float64) []byte {
	const digits = 2
	return strconv.AppendFloat(out, amount, 'f', digits, 64)
}

// date returns month and day of a day of a year that is not a leap year, 1 to 365.
func date(dayOfYear int) (month, day int64) {
	month, day = 1, int64(dayOfYear)
	for _, days := range []int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30} {
		if day <= days {
			break
		}
		day -= days
		month++
	}
	return month, day
}
