package simulate

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"
)

// The chart's measures, in pixels.
const (
	chartWidth, chartHeight = 900, 480
	plotLeft, plotTop       = 80, 60
	plotWidth, plotHeight   = 560, 340
	legendLeft              = plotLeft + plotWidth + 24
	lineOfText              = 20
)

// line is one curve of a chart.
type line struct {
	name, colour, dash string
	width              float64
	points             []Point
	value              func(Point) int
}

// Chart draws a report's workers over time as SVG: of Spate those accepted, running and busy, of each model those that run.
func Chart(r Report, title string) string {
	lines := chartLines(r)
	end := horizon(r)
	top := 0
	for _, l := range lines {
		for _, p := range l.points {
			if p.At <= end {
				top = max(top, l.value(p))
			}
		}
	}
	unit, unitName := time.Minute, "minutes"
	if end < 5*time.Minute {
		unit, unitName = time.Second, "seconds"
	}
	xStep, yStep := niceStep(float64(end)/float64(unit), 8), niceStep(float64(top), 6)
	xMax := float64(end) / float64(unit)
	yMax := yStep * math.Ceil(float64(max(top, 1))/yStep*1.02)
	x := func(v float64) float64 { return plotLeft + v/xMax*plotWidth }
	y := func(v float64) float64 { return plotTop + plotHeight - v/yMax*plotHeight }

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="13" fill="#222">`+"\n",
		chartWidth, chartHeight, chartWidth, chartHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<text x="%d" y="32" font-size="16" font-weight="600">%s</text>`+"\n", plotLeft, html.EscapeString(title))
	for v := 0.0; v <= yMax+yStep/1e6; v += yStep {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#e3e3e3"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, plotLeft+plotWidth, y(v), y(v), plotLeft-8, y(v)+4, thousands(int(math.Round(v))))
	}
	for v := 0.0; v <= xMax+xStep/1e6; v += xStep {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#999"/><text x="%.1f" y="%d" text-anchor="middle">%.4g</text>`+"\n",
			x(v), x(v), plotTop+plotHeight, plotTop+plotHeight+5, x(v), plotTop+plotHeight+22, v)
	}
	fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="#999"/>`+"\n", plotLeft, plotLeft+plotWidth, plotTop+plotHeight, plotTop+plotHeight)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s since the jobs were there</text>`+"\n", plotLeft+plotWidth/2, plotTop+plotHeight+46, unitName)
	fmt.Fprintf(&b, `<text transform="translate(20 %d) rotate(-90)" text-anchor="middle">workers</text>`+"\n", plotTop+plotHeight/2)
	for _, l := range slices.Backward(lines) { // the first on top
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="%.1f" stroke-dasharray="%s" stroke-linejoin="round" points="%s"/>`+"\n",
			l.colour, l.width, l.dash, path(l, end, func(p Point) (float64, float64) {
				return x(float64(p.At) / float64(unit)), y(float64(l.value(p)))
			}))
	}
	for i, l := range lines {
		at := plotTop + 8 + i*lineOfText
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%d" y2="%d" stroke="%s" stroke-width="%.1f" stroke-dasharray="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			legendLeft, legendLeft+26, at, at, l.colour, l.width, l.dash, legendLeft+34, at+4, html.EscapeString(l.name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// chartLines are the curves, Spate's first. Colours are of the palette by Okabe and Ito, which the colour-blind can tell apart.
func chartLines(r Report) []line {
	var lines []line
	colours := []string{"#CC79A7", "#E69F00", "#999999", "#009E73", "#7a5195", "#b0813f", "#5b8c2a"}
	for _, p := range r.Policies {
		if !p.Model {
			lines = append(lines,
				line{p.Name + ": running", "#0072B2", "", 2.5, p.Curve, func(p Point) int { return p.Running }},
				line{p.Name + ": accepted in all", "#56B4E9", "6 4", 1.5, p.Curve, func(p Point) int { return p.Accepted }},
				line{p.Name + ": with a job", "#D55E00", "2 3", 1.5, p.Curve, func(p Point) int { return p.Busy }})
			continue
		}
		colour := colours[(len(lines)-3)%len(colours)]
		lines = append(lines, line{"model: " + strings.ReplaceAll(p.Name, "_", " "), colour, "", 1.5, p.Curve, func(p Point) int { return p.Running }})
	}
	return lines
}

// horizon is how far the chart goes: to the end of Spate's last worker, and further to where models are done, within limits.
func horizon(r Report) time.Duration {
	end := time.Second
	for _, p := range r.Policies {
		if last := p.Curve[len(p.Curve)-1].At; !p.Model {
			end = max(end, last)
		}
	}
	limit := end * 3 / 2
	for _, p := range r.Policies {
		end = max(end, min(limit, p.Curve[len(p.Curve)-1].At))
	}
	return end
}

// path is a curve's points up to the end, without those on a straight line through their neighbours.
func path(l line, end time.Duration, place func(Point) (x, y float64)) string {
	var b strings.Builder
	for i, p := range l.points {
		if p.At > end {
			break
		}
		if i > 0 && i+1 < len(l.points) && l.points[i+1].At <= end {
			before, after := l.value(l.points[i-1]), l.value(l.points[i+1])
			if v := l.value(p); before == v && v == after {
				continue
			}
		}
		px, py := place(p)
		fmt.Fprintf(&b, "%.1f,%.1f ", px, py)
	}
	return strings.TrimSpace(b.String())
}

// niceStep divides a range into at most so many steps of 1, 2 or 5 times a power of ten.
func niceStep(span float64, steps int) float64 {
	rough := span / float64(steps)
	if rough <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough {
			return m * power
		}
	}
	return 10 * power
}

// thousands is a number with its thousands apart.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
