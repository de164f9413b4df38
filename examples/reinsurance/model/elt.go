package model

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"spate/examples/reinsurance/draw"
	"spate/examples/reinsurance/sheet"
)

// A drawer draws what occurrences cost a cedant that has an event loss table of its own, in the deal's currency and
// before any reinsurance. The draws are named like those of secondary uncertainty, so that deals of one correlation group
// with the same table see the same losses.
type drawer struct {
	seed, group uint64
	events      map[int64]eventLoss
}

type eventLoss struct {
	Event
	severity lognormal
}

// newDrawer takes an event loss table and the Uncertainty, without a variation, that names seed and group.
func newDrawer(events []Event, u *Uncertainty) drawer {
	d := drawer{events: make(map[int64]eventLoss, len(events))}
	if u != nil {
		d.seed, d.group = u.Seed, u.Group
	}
	for _, e := range events {
		d.events[e.ID] = eventLoss{e, lognormalOf(e.Mean, e.SD/e.Mean)}
	}
	return d
}

// loss returns what an occurrence costs; events that are not in the table cost nothing.
func (d drawer) loss(o Occurrence) int64 {
	e, touched := d.events[o.Event]
	if !touched {
		return 0
	}
	loss := e.Mean
	if e.SD > 0 {
		loss = e.severity.at(draw.Normal(d.seed, uint64(o.Event), uint64(o.ID), d.group, drawSecondary))
	}
	if e.Max > 0 {
		loss = min(loss, e.Max)
	}
	return int64(math.Round(min(loss, MaxAmount)))
}

// A Catalogue says how often each event of some perils strikes, whether or not it does in the simulated years. An event
// loss table that fits it has no other events. The zero value is empty; nil fits every table.
type Catalogue struct {
	rates  map[int64]float64 // occurrences a year, by event
	perils []string
}

// Add adds the events of a peril, read from a file. None may be there already: an event loss table would not tell them
// apart. Errors are sheet.InputErrors.
func (c *Catalogue) Add(peril, file string, events []Event) error {
	if c.rates == nil {
		c.rates = make(map[int64]float64, len(events))
	}
	c.perils = append(c.perils, peril)
	var twice sheet.InputErrors
	for i, e := range events {
		if _, taken := c.rates[e.ID]; taken {
			const headerLines = 1
			twice = append(twice, &InputError{File: file, Line: i + 1 + headerLines, Column: 1, Reason: fmt.Sprintf("event %d is in the catalogue of another peril, too", e.ID)})
		}
		c.rates[e.ID] = e.Rate
	}
	if len(twice) > 0 {
		return twice
	}
	return nil
}

// sameRate is how far the rates of two tables of one event may be apart, as a part of the larger: programs round them.
const sameRate = 1e-3

// problem says what makes no sense about an event of a table that must fit the catalogue, and in which column, or nothing.
func (c *Catalogue) problem(e Event) (column, reason string) {
	if column, reason = e.problem(); reason != "" || c == nil {
		return column, reason
	}
	rate, known := c.rates[e.ID]
	switch {
	case !known:
		return "EventId", "is not in the catalogue of " + strings.Join(c.perils, ", ")
	case math.Abs(rate-e.Rate) > sameRate*max(rate, e.Rate):
		return "EventRate", fmt.Sprintf("is not the catalogue's, %s: are both of one version of the model?", decimal(rate))
	}
	return "", ""
}

const eventsSuffix = "/" + EventsFile

func isEvents(name string) bool {
	return strings.HasPrefix(name, OccurrencesPrefix) && strings.HasSuffix(name, eventsSuffix)
}

// readELT reads the event loss table of the deal's cedant, each of whose events must be in the catalogue of a peril
// covered. There is none if the file is not staged.
func (p DealParams) readELT(inputs map[string][]byte) ([]Event, error) {
	content, staged := inputs[ELTFile]
	if !staged {
		return nil, nil
	}
	var catalogue Catalogue
	for _, name := range sortedNames(inputs) {
		switch {
		case isOccurrences(name):
			events := strings.TrimSuffix(name, occurrencesSuffix) + eventsSuffix
			if _, there := inputs[events]; !there {
				return nil, &InputError{File: ELTFile, Reason: "cannot be checked: there is no " + events}
			}
		case isEvents(name):
			events, err := ReadMelt(name, inputs[name])
			if err != nil {
				return nil, err
			}
			if err := catalogue.Add(perilOf(name, eventsSuffix), name, events); err != nil {
				return nil, err
			}
		}
	}
	elt, err := readEvents(ELTFile, content, catalogue.problem)
	switch {
	case err != nil:
		return nil, err
	case len(elt) == 0:
		return nil, &InputError{File: ELTFile, Reason: "has no events"}
	case p.Uncertainty == nil && slices.ContainsFunc(elt, func(e Event) bool { return e.SD > 0 }):
		return nil, badParam("no uncertainty, whose seed and group draw the losses of %s around their means", ELTFile)
	}
	return elt, nil
}

// validateSource checks the parameters that say where the cedant's losses come from: a part of the industry's, or an event
// loss table of its own.
func (p DealParams) validateSource(own bool) error {
	u := p.Uncertainty
	switch {
	case !own && !(p.MarketShare > 0 && p.MarketShare <= 1):
		return badParam("market_share %v outside 0 to 1", p.MarketShare)
	case !own && u != nil && !(u.Variation > 0 && u.Variation <= mostSecondaryVariation):
		return badParam("variation %v outside 0 to %d", u.Variation, mostSecondaryVariation)
	case own && p.MarketShare != 0:
		return badParam("market_share %v beside %s, which holds the cedant's own losses: leave one out", p.MarketShare, ELTFile)
	case own && u != nil && u.Variation != 0:
		return badParam("variation %v beside %s, which has a standard deviation for each event: leave one out", u.Variation, ELTFile)
	}
	return nil
}
