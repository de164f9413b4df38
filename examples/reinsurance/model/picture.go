package model

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"spate/examples/reinsurance/draw"
	"spate/examples/reinsurance/sheet"
)

// Sizes of the picture, in its own pixels.
const (
	pictureWidth  = 1080
	pictureHeight = 560
	panelWidth    = 430
	panelHeight   = 330
	panelTop      = 134
	netLeft       = 76
	grossLeft     = 596
)

// Colours that keep apart for colour-blind readers and in print.
const (
	ink         = "#1f2933"
	paleInk     = "#616e7c"
	grid        = "#e4e7eb"
	occurColour = "#d9730d"
	yearColour  = "#1f5fa8"
)

// picture draws the exceedance curves of both perspectives as an SVG document: return periods on a logarithmic axis,
// losses on a linear one, with the 90 % confidence band of the simulation.
func picture(r Result) []byte {
	p := r.Figures
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" `+
		`font-family="Inter, 'Helvetica Neue', Arial, sans-serif" font-size="13" fill="%s">`+"\n",
		pictureWidth, pictureHeight, pictureWidth, pictureHeight, ink)
	fmt.Fprintf(&b, "<title>Exceedance curves of the portfolio</title>\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", pictureWidth, pictureHeight)
	text(&b, 32, 40, `font-size="22" font-weight="600"`, "What a bad year costs the reinsurer")
	text(&b, 32, 64, `fill="`+paleInk+`"`, fmt.Sprintf("%s simulated years, %s. Bands: 90 %% confidence, given the hazard.", sheet.Grouped(int64(p.Periods)), p.Currency))

	panels := []struct {
		left  float64
		title string
		view  Perspective
		years years
	}{
		{netLeft, "Net: after retrocession of the whole book", p.Net, r.net},
		{grossLeft, "Gross: all deals, each after what inures to it", p.Gross, r.gross},
	}
	most := int64(0) // both panels have one scale
	for _, panel := range panels {
		most = max(most, newChart(panel.left, p.Currency, panel.years).most)
	}
	for _, panel := range panels {
		text(&b, panel.left, 96, `font-size="15" font-weight="600"`, panel.title)
		text(&b, panel.left, 116, `fill="`+paleInk+`"`, fmt.Sprintf("average annual loss %s ± %s · 99 %% TVaR %s",
			money(panel.view.AAL), money(panel.view.AALSE), money(panel.view.AEPTVaR)))
		newChart(panel.left, p.Currency, panel.years).draw(&b, most)
	}
	text(&b, 32, pictureHeight-18, `font-size="11" fill="`+paleInk+`"`,
		"Hurricanes: S. Jewson (2022), on the normalised damages of Weinkle et al. (2018). Other perils and the deals are invented.")
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// A chart is one panel: two curves and their axes.
type chart struct {
	left       float64
	currency   Currency
	occurrence []int64 // largest first
	aggregate  []int64 // largest first
	longest    int     // return period at the right edge, in years
	most       int64   // largest loss to show
	top        int64   // loss at the upper edge
	step       int64   // between grid lines
}

const shortestReturnPeriod = 2

func newChart(left float64, currency Currency, y years) chart {
	c := chart{left: left, currency: currency, occurrence: descending(y.occurrence), aggregate: descending(y.aggregate)}
	c.longest = min(1000, len(c.aggregate)/10) // at least ten years lie beyond the right edge
	_, c.most = confidence(c.aggregate, len(c.aggregate)/c.longest)
	return c
}

// niceStep returns 1, 2 or 5 times a power of ten that divides most into at most seven steps.
func niceStep(most int64) int64 {
	const steps = 7
	for power := int64(1); ; power *= 10 {
		for _, digit := range []int64{1, 2, 5} {
			if digit*power*steps >= most {
				return digit * power
			}
		}
	}
}

func (c chart) x(returnPeriod float64) float64 {
	shortest := draw.Log(shortestReturnPeriod)
	part := (draw.Log(returnPeriod) - shortest) / (draw.Log(float64(c.longest)) - shortest)
	return c.left + float64(part*panelWidth)
}

func (c chart) y(loss int64) float64 {
	part := float64(loss) / float64(c.top)
	return panelTop + panelHeight - float64(part*panelHeight)
}

// draw draws the panel on a scale that holds losses up to most.
func (c chart) draw(b *bytes.Buffer, most int64) {
	c.step = niceStep(most)
	c.top = (most/c.step + 1) * c.step
	c.axes(b)
	c.curve(b, c.aggregate, yearColour)
	c.curve(b, c.occurrence, occurColour)
	c.headline(b)
	for i, entry := range []struct{ colour, label string }{
		{yearColour, "whole year (AEP)"},
		{occurColour, "largest event of the year (OEP)"},
	} {
		y := float64(panelTop + 18 + 20*i)
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-width="3"/>`+"\n", c.left+14, c.left+38, y, y, entry.colour)
		text(b, c.left+46, y+4, "", entry.label)
	}
}

func (c chart) axes(b *bytes.Buffer) {
	right, bottom := c.left+panelWidth, float64(panelTop+panelHeight)
	unit, name := int64(1_000_000_000), "billions"
	if c.step < unit {
		unit, name = 1_000_000, "millions"
	}
	for loss := int64(0); loss <= c.top; loss += c.step {
		y := c.y(loss)
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s"/>`+"\n", c.left, right, y, y, grid)
		label := strconv.FormatFloat(float64(loss)/float64(unit), 'f', -1, 64)
		text(b, c.left-8, y+4, `text-anchor="end" fill="`+paleInk+`"`, label)
	}
	for _, returnPeriod := range []int{2, 5, 10, 25, 50, 100, 250, 500, 1000} {
		if returnPeriod > c.longest {
			break
		}
		x := c.x(float64(returnPeriod))
		fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%.1f" stroke="%s"/>`+"\n", x, x, panelTop, bottom, grid)
		text(b, x, bottom+20, `text-anchor="middle" fill="`+paleInk+`"`, sheet.Grouped(int64(returnPeriod)))
	}
	fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s"/>`+"\n", c.left, right, bottom, bottom, paleInk)
	text(b, c.left+panelWidth/2, bottom+42, `text-anchor="middle" fill="`+paleInk+`"`, "return period, years")
	x, y := c.left-52, float64(panelTop+panelHeight/2)
	text(b, x, y, fmt.Sprintf(`text-anchor="middle" fill="%s" transform="rotate(-90 %.1f %.1f)"`, paleInk, x, y), string(c.currency)+" "+name)
}

// curve draws the band, then the line. Ranks are thinned by a fiftieth each, which is closer than a pixel on this axis.
func (c chart) curve(b *bytes.Buffer, sorted []int64, colour string) {
	n := len(sorted)
	var line, above, below []string
	for exceeding := n / shortestReturnPeriod; exceeding >= n/c.longest; exceeding = exceeding * 49 / 50 {
		x := c.x(float64(n) / float64(exceeding))
		low, high := confidence(sorted, exceeding)
		line = append(line, fmt.Sprintf("%.1f,%.1f", x, c.y(sorted[exceeding])))
		above = append(above, fmt.Sprintf("%.1f,%.1f", x, c.y(high)))
		below = append(below, fmt.Sprintf("%.1f,%.1f", x, c.y(low)))
	}
	outline := above
	for _, point := range slices.Backward(below) {
		outline = append(outline, point)
	}
	fmt.Fprintf(b, `<polygon points="%s" fill="%s" fill-opacity="0.14"/>`+"\n", strings.Join(outline, " "), colour)
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2.5" stroke-linejoin="round"/>`+"\n", strings.Join(line, " "), colour)
}

// headline marks both curves at 250 years.
func (c chart) headline(b *bytes.Buffer) {
	if headline > c.longest {
		return
	}
	for _, mark := range []struct {
		sorted []int64
		colour string
		anchor string
		dx, dy float64
	}{
		{c.aggregate, yearColour, "end", -10, -8},
		{c.occurrence, occurColour, "start", 9, 18},
	} {
		loss := mark.sorted[len(mark.sorted)/headline]
		x, y := c.x(headline), c.y(loss)
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4.5" fill="#ffffff" stroke="%s" stroke-width="2.5"/>`+"\n", x, y, mark.colour)
		text(b, x+mark.dx, y+mark.dy, fmt.Sprintf(`text-anchor="%s" font-weight="600" fill="%s"`, mark.anchor, mark.colour), money(float64(loss)))
	}
}

// text writes one line of text. The words come from this package, so that they need no escaping.
func text(b *bytes.Buffer, x, y float64, attributes, words string) {
	if attributes != "" {
		attributes = " " + attributes
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f"%s>%s</text>`+"\n", x, y, attributes, words)
}

// money shows an amount with three significant digits or so.
func money(amount float64) string {
	switch {
	case amount >= 100e9:
		return fmt.Sprintf("%.0f bn", amount/1e9)
	case amount >= 10e9:
		return fmt.Sprintf("%.1f bn", amount/1e9)
	case amount >= 1e9:
		return fmt.Sprintf("%.2f bn", amount/1e9)
	case amount >= 10e6:
		return fmt.Sprintf("%.0f m", amount/1e6)
	}
	return fmt.Sprintf("%.1f m", amount/1e6)
}
