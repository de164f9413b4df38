package scaler

import (
	"fmt"
	"strings"
	"time"
)

// sentence begins with what is wanted and there, and ends with what is done about it.
func (v view) sentence(d Decision, end string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s wanted for %s", d.Pool, count(d.Wanted, "worker"), count(v.o.Demand.Outstanding, "job"))
	switch by := jobWorkers(v.o.Demand.Outstanding, v.p.Slots); {
	case by > v.p.Max:
		fmt.Fprintf(&s, " (%s)", v.most())
	case by < v.p.Min:
		fmt.Fprintf(&s, " (min %d)", v.p.Min)
	}
	fmt.Fprintf(&s, ", %d running, %d pending", v.o.Workers.Running, v.o.Workers.Pending)
	if n := v.o.Workers.Stopping; n > 0 {
		fmt.Fprintf(&s, ", %d stopping", n)
	}
	if n := sum(v.o.Unsettled); n > 0 {
		fmt.Fprintf(&s, ", %d being launched", n)
	}
	if d.Other > 0 {
		fmt.Fprintf(&s, ", %d of another revision", d.Other)
	}
	return s.String() + ": " + end
}

// unknown says why a pool holds whose observation is missing or too old.
func (v view) unknown(what string, at time.Time, known bool) string {
	if !known {
		return fmt.Sprintf("%s: hold: %s is not known", v.p.Name, what)
	}
	return fmt.Sprintf("%s: hold: %s was last known %s ago, more than %s",
		v.p.Name, what, short(v.now.Sub(at)), short(v.p.StaleAfter))
}

func launchWords(launches []Launch, rest shortfall) string {
	var s strings.Builder
	s.WriteString("launch ")
	if len(launches) == 0 {
		s.WriteString("none")
	}
	for i, l := range launches {
		if i > 0 {
			s.WriteString(" and ")
		}
		fmt.Fprintf(&s, "%d on %s", l.Count, l.Provider)
	}
	if rest.count > 0 {
		fmt.Fprintf(&s, "; %d more wait for %s", rest.count, rest.waitsFor())
	}
	return s.String()
}

func (s shortfall) waitsFor() string {
	if s.held {
		return "room: " + s.reason
	}
	return s.reason
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short is a duration in whole seconds.
func short(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}
