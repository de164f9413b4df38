package portfolio

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/sheet"
)

// Columns of the reinsurance information and scope files of Open Exposure Data. Of the scope, the example uses the
// contract and the account, which is the cedant; what a portfolio of locations would say about the losses is in
// columns of the example's own: Perils (names, separated by semicolons) and either MarketShare and Variation, or EventLosses,
// where the cedant's own event loss table is (an S3 address).
func infoColumns() sheet.Columns {
	return sheet.Columns{
		Required: []string{
			"ReinsNumber", "ReinsLayerNumber", "ReinsCurrency", "InuringPriority", "ReinsType",
			"OccAttachment", "OccLimit", "PlacedPercent",
		},
		Optional: append([]string{"AggAttachment", "AggLimit", "Reinstatement", "ReinstatementCharge", "ReinsPremium"}, slices.Sorted(maps.Keys(fixed()))...),
		Ignored:  []string{"ReinsName", "ReinsPeril", "ReinsInceptionDate", "ReinsExpiryDate", "RiskLevel", "OEDVersion"},
	}
}

func scopeColumns() sheet.Columns {
	return sheet.Columns{
		Required: []string{"ReinsNumber", "AccNumber", "Perils"},
		Optional: []string{"MarketShare", "Variation", "EventLosses"},
		Ignored:  []string{"PortNumber", "CedantName", "ProducerName", "OEDVersion"},
	}
}

// fixed are fields of the reinsurance information file that the example's contracts do not have, with the values that
// say so. Any other value is an error: a contract is read whole or not at all.
func fixed() map[string][]string {
	return map[string][]string{
		"CededPercent":        {"", "1"},
		"TreatyShare":         {"", "1"},
		"RiskLimit":           {"", "0"},
		"RiskAttachment":      {"", "0"},
		"OccFranchiseDed":     {"", "0"},
		"OccReverseFranchise": {"", "0"},
		"AggPeriod":           {"", "365"},
		"AttachmentBasis":     {"", "LO"},
		"DeemedPercentPlaced": {"", "1"},
		"ReinsFXrate":         {"", "1"},
		"UseReinsDates":       {"", "N"},
	}
}

const (
	catastropheExcessOfLoss = "CXL"
	mostReinsNumber         = 99_999 // five digits in a deal's id
	mostPriority            = 99
	mostCharge              = 10
)

// A File is the content of a file and the name that errors about it begin with.
type File struct {
	Name    string
	Content []byte
}

// ReadOED returns the portfolio with the contracts of these files as its deals, each after those that inure to its
// benefit: the contracts of the same account with a lower inuring priority. Perils and currencies must be the
// portfolio's. Errors are sheet.InputErrors, all of one file.
func (p Portfolio) ReadOED(info, scope File) (Portfolio, error) {
	p.Deals = nil
	covers, err := p.readScope(scope)
	if err != nil {
		return Portfolio{}, err
	}
	s, err := sheet.Open(info.Name, info.Content, infoColumns())
	if err != nil {
		return Portfolio{}, err
	}
	lines := map[int64]int{} // by contract
	for s.Next() {
		known := s.Count()
		number := s.Whole("ReinsNumber", 1, mostReinsNumber)
		deal := Deal{ID: dealID(int(number)), Layer: int(s.Whole("ReinsLayerNumber", 1, mostReinsNumber)), Terms: p.readTerms(s)}
		cover, covered := covers[number]
		switch {
		case !s.OK(known):
			continue
		case lines[number] > 0:
			s.Reject("ReinsNumber", "is the contract of line %d again", lines[number])
			continue
		case !covered:
			s.Reject("ReinsNumber", "is not in %s", scope.Name)
			continue
		}
		lines[number] = s.Line()
		deal.Cedant, deal.Perils, deal.ELT = cover.cedant, cover.perils, cover.elt
		deal.Terms.MarketShare, deal.Terms.Uncertainty, deal.Terms.Periods = cover.marketShare, cover.uncertainty, p.Periods
		p.Deals = append(p.Deals, deal)
	}
	if len(p.Deals) == 0 && s.Err() == nil {
		return Portfolio{}, sheet.InputErrors{{File: info.Name, Reason: "has no contracts"}}
	}
	p.order()
	if p.Nominal == 0 {
		p.Nominal = len(p.Deals)
	}
	return p, s.Err()
}

// order sorts the deals by id and, as jobs come after those they need, by inuring priority before that.
func (p *Portfolio) order() {
	byCedant := map[string][]Deal{}
	for _, d := range p.Deals {
		byCedant[d.Cedant] = append(byCedant[d.Cedant], d)
	}
	p.Deals = p.Deals[:0]
	for _, deals := range byCedant {
		slices.SortFunc(deals, func(a, b Deal) int { return cmp.Compare(a.ID, b.ID) })
		inure(deals)
		p.Deals = append(p.Deals, deals...)
	}
	slices.SortFunc(p.Deals, func(a, b Deal) int {
		return cmp.Or(cmp.Compare(a.Terms.InuringPriority, b.Terms.InuringPriority), cmp.Compare(a.ID, b.ID))
	})
}

// readTerms reads what a row says about the contract itself. A blank Reinstatement with a blank AggLimit is any number.
func (p Portfolio) readTerms(s *sheet.Sheet) model.DealParams {
	if got := s.Text("ReinsType"); got != catastropheExcessOfLoss {
		s.Reject("ReinsType", "is not read: only %s, catastrophe excess of loss, is", catastropheExcessOfLoss)
	}
	for _, name := range slices.Sorted(maps.Keys(fixed())) {
		values := fixed()[name]
		if s.Has(name) && !slices.Contains(values, s.Text(name)) {
			s.Reject(name, "is not read: only %q or nothing is", values[1])
		}
	}
	currency := model.Currency(s.Text("ReinsCurrency"))
	if _, known := p.Rates[currency]; !known {
		s.Reject("ReinsCurrency", "is not among the currencies of the exchange rates")
	}
	terms := model.Terms{
		Attachment: units(s, "OccAttachment", 0),
		Limit:      units(s, "OccLimit", 1),
		Share:      s.Decimal("PlacedPercent", 0, 1),
	}
	if s.Text("PlacedPercent") == "0" {
		s.Reject("PlacedPercent", "places nothing: want more than 0, at most 1")
	}
	if given(s, "AggAttachment") {
		terms.AnnualDeductible = units(s, "AggAttachment", 0)
	}
	if given(s, "ReinsPremium") {
		terms.Premium = units(s, "ReinsPremium", 0)
	}
	if given(s, "Reinstatement") {
		n := int(s.Whole("Reinstatement", 0, mostPriority))
		terms.Reinstatements = &n
	}
	if given(s, "ReinstatementCharge") {
		terms.ReinstatementRate = s.Decimal("ReinstatementCharge", 0, mostCharge)
	}
	if given(s, "AggLimit") {
		want := int64(0) // none
		if terms.Reinstatements != nil {
			want = int64(1+*terms.Reinstatements) * terms.Limit
		}
		if units(s, "AggLimit", 0) != want {
			s.Reject("AggLimit", "is not (1 + Reinstatement) × OccLimit")
		}
	}
	switch {
	case terms.ReinstatementRate > 0 && (terms.Reinstatements == nil || *terms.Reinstatements == 0):
		s.Reject("ReinstatementCharge", "is paid for no reinstatement")
	case terms.ReinstatementRate > 0 && terms.Premium == 0:
		s.Reject("ReinstatementCharge", "is a part of ReinsPremium, of which there is none")
	}
	return model.DealParams{
		Terms:           terms,
		Currency:        currency,
		InuringPriority: int(s.Whole("InuringPriority", 1, mostPriority)),
	}
}

func given(s *sheet.Sheet, name string) bool { return s.Text(name) != "" }

// units reads an amount, which must be whole: the model knows no cents.
func units(s *sheet.Sheet, name string, least int64) int64 {
	value := s.Decimal(name, float64(least), model.MaxAmount)
	if value != math.Trunc(value) {
		s.Reject(name, "has decimals: expected whole units of the currency")
	}
	return int64(value)
}

// A cover is what the scope file says about a contract.
type cover struct {
	cedant      string
	perils      []string
	marketShare float64
	uncertainty *model.Uncertainty
	elt         string
}

func (p Portfolio) readScope(scope File) (map[int64]cover, error) {
	s, err := sheet.Open(scope.Name, scope.Content, scopeColumns())
	if err != nil {
		return nil, err
	}
	covers := map[int64]cover{}
	for s.Next() {
		number := s.Whole("ReinsNumber", 1, mostReinsNumber)
		c := cover{cedant: s.Text("AccNumber"), perils: strings.Split(s.Text("Perils"), ";")}
		p.readLosses(s, &c)
		if c.cedant == "" {
			s.Reject("AccNumber", "is empty: which cedant is it?")
		}
		for _, name := range c.perils {
			if !slices.ContainsFunc(p.Perils, func(peril model.Peril) bool { return peril.Name == name }) {
				s.Reject("Perils", "has %q, which is not a peril of the portfolio", name)
			}
		}
		if _, twice := covers[number]; twice {
			s.Reject("ReinsNumber", "has two rows: the example's contracts cover one account")
		}
		covers[number] = c
	}
	return covers, s.Err()
}

// readLosses reads where the cedant's losses come from: a part of the industry's, or its own.
func (p Portfolio) readLosses(s *sheet.Sheet, c *cover) {
	if given(s, "EventLosses") {
		for _, name := range []string{"MarketShare", "Variation"} {
			if given(s, name) {
				s.Reject(name, "is given beside EventLosses, which are all of the cedant's: leave one out")
			}
		}
		if c.elt = s.Text("EventLosses"); !isAddress(c.elt) {
			s.Reject("EventLosses", "is not an address in S3, s3://bucket/key")
		}
		c.uncertainty = p.ownUncertainty(c.cedant)
		return
	}
	if !s.Has("MarketShare") {
		s.Reject("EventLosses", "is empty, and there is no column MarketShare: expected one of them")
		return
	}
	known := s.Count()
	if c.marketShare = s.Decimal("MarketShare", 0, 1); s.OK(known) && c.marketShare == 0 {
		s.Reject("MarketShare", "bears nothing: want more than 0, at most 1")
	}
	if given(s, "Variation") {
		const most = 5
		if variation := s.Decimal("Variation", 0, most); variation > 0 {
			c.uncertainty = &model.Uncertainty{Seed: p.Seed, Variation: variation, Group: groupOf(c.cedant)}
		}
	}
}

// WriteOED writes the deals as the two files that ReadOED reads.
func (p Portfolio) WriteOED(info, scope io.Writer) error {
	rows, covers := csv.NewWriter(info), csv.NewWriter(scope)
	records := [][2][]string{{
		{
			"ReinsNumber", "ReinsLayerNumber", "ReinsName", "ReinsCurrency", "InuringPriority", "ReinsType", "OccAttachment", "OccLimit",
			"AggAttachment", "AggLimit", "PlacedPercent", "Reinstatement", "ReinstatementCharge", "ReinsPremium",
		},
		{"ReinsNumber", "AccNumber", "MarketShare", "Variation", "EventLosses", "Perils"},
	}}
	for _, d := range p.Deals {
		row, cover, err := d.records()
		if err != nil {
			return err
		}
		records = append(records, [2][]string{row, cover})
	}
	for _, record := range records {
		if err := errors.Join(rows.Write(record[0]), covers.Write(record[1])); err != nil {
			return fmt.Errorf("write deals: %w", err)
		}
	}
	rows.Flush()
	covers.Flush()
	if err := errors.Join(rows.Error(), covers.Error()); err != nil {
		return fmt.Errorf("write deals: %w", err)
	}
	return nil
}

// records are the deal's rows in the two files.
func (d Deal) records() (info, scope []string, err error) {
	number, err := strconv.Atoi(strings.TrimPrefix(d.ID, dealPrefix))
	if err != nil {
		return nil, nil, fmt.Errorf("write %s: its id is not a number", d.ID)
	}
	decimal := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	t := d.Terms
	reinstatements, aggregate, charge := "", "", ""
	if t.Reinstatements != nil {
		reinstatements = strconv.Itoa(*t.Reinstatements)
		aggregate = whole(int64(1+*t.Reinstatements) * t.Limit)
		charge = decimal(t.ReinstatementRate)
	}
	share, variation := "", ""
	if d.ELT == "" {
		share = decimal(t.MarketShare)
		if t.Uncertainty != nil {
			variation = decimal(t.Uncertainty.Variation)
		}
	}
	info = []string{
		strconv.Itoa(number), strconv.Itoa(d.Layer), d.ID, string(t.Currency), strconv.Itoa(t.InuringPriority), catastropheExcessOfLoss,
		whole(t.Attachment), whole(t.Limit), whole(t.AnnualDeductible), aggregate, decimal(t.Share), reinstatements, charge, whole(t.Premium),
	}
	return info, []string{strconv.Itoa(number), d.Cedant, share, variation, d.ELT, strings.Join(d.Perils, ";")}, nil
}
