package scaler

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// sentence says what is wanted and there, what is done about it, and what keeps more from being launched.
func (v view) sentence(d Decision, s sizing, t allotment) string {
	var b strings.Builder
	b.Grow(250) // a long one
	b.WriteString(d.Pool)
	b.WriteString(": ")
	switch {
	case v.demanded() && d.Wanted == 0 && v.o.Demand.Outstanding == 0 && v.stopped() == "" && d.Have+d.Other == 0:
		b.WriteString("no work, no workers")
		return b.String()
	case v.demanded() && d.Wanted == 0 && v.o.Demand.Outstanding == 0:
		b.WriteString("no work; ")
	case v.demanded():
		v.writeWanted(&b, d, s)
		b.WriteString("; ")
	}
	if v.o.Workers.Known {
		v.writeThere(&b, d)
		b.WriteString("; ")
	}
	switch {
	case v.stopped() != "":
		b.WriteString("launching none")
		b.WriteString(v.whyStopped(d.Limit))
		return b.String()
	case len(d.Launch) > 0 || t.rest > 0:
		writeLaunches(&b, d.Launch)
	case d.Limit == LimitUseful || d.Limit == LimitDemand:
		b.WriteString("launching none")
	case d.Wanted == 0 && d.Have+d.Other > 0:
		b.WriteString("they leave when they are idle")
	default:
		b.WriteString("enough")
	}
	switch {
	case t.rest > 0:
		fmt.Fprintf(&b, "; %s more %s", commas(t.rest), v.waitsFor(t))
		if t.eta > 0 {
			fmt.Fprintf(&b, "; %s in about %s", commas(d.Target), short(t.eta))
		}
	case d.Limit == LimitDemand:
		fmt.Fprintf(&b, "; more would find nothing to do: the queue has shown no job for %s, and the planner looks for them",
			short(v.now.Sub(v.o.Demand.QueueEmptySince)))
	case d.Limit == LimitUseful:
		b.WriteString("; more would find nothing to do when they have started, after ")
		b.WriteString(short(v.startUp()))
	}
	return b.String()
}

// writeWanted is the first part: how many workers, and for what.
func (v view) writeWanted(b *strings.Builder, d Decision, s sizing) {
	fmt.Fprintf(b, "%s wanted for %s", count(d.Wanted, "worker"), count(v.o.Demand.Outstanding, "job"))
	switch {
	case v.p.Within > 0 && v.o.Demand.Outstanding == 0:
	case v.p.Within > 0 && !s.deadline.known:
		b.WriteString(" as soon as possible, as it is not known how long they take")
	case v.p.Within > 0 && s.deadline.due < 0:
		fmt.Fprintf(b, ", %s late", short(-s.deadline.due))
	case v.p.Within > 0 && s.deadline.late:
		fmt.Fprintf(b, ", too many for the %s that are left", short(s.deadline.due))
	case v.p.Within > 0:
		fmt.Fprintf(b, " in %s", short(s.deadline.due))
	}
	switch {
	case s.topLimit == LimitCap && s.need > s.top:
		fmt.Fprintf(b, " (capped at %s %s)", commas(s.top), v.o.Asked.CapSet.text(v.now))
	case s.need > s.top:
		fmt.Fprintf(b, " (max %s)", commas(s.top))
	case s.need < s.wanted:
		fmt.Fprintf(b, " (min %s)", commas(v.p.Min))
	}
}

// writeThere is the second part: the workers there are.
func (v view) writeThere(b *strings.Builder, d Decision) {
	parts := 0
	part := func(n int, what string) {
		if n == 0 {
			return
		}
		if parts++; parts > 1 {
			b.WriteString(", ")
		}
		b.WriteString(commas(n))
		b.WriteString(what)
	}
	part(v.o.Workers.Running, " running")
	part(v.o.Workers.Pending, " starting")
	part(v.o.Workers.Stopping, " stopping")
	part(sum(v.o.Unsettled), " being launched")
	if parts == 0 {
		b.WriteString("none there")
	}
	part(d.Other, " of another revision")
}

func writeLaunches(b *strings.Builder, launches []Launch) {
	b.WriteString("launching ")
	if len(launches) == 0 {
		b.WriteString("none")
	}
	for i, l := range launches {
		if i > 0 {
			b.WriteString(" and ")
		}
		b.WriteString(commas(l.Count))
		b.WriteString(" on ")
		b.WriteString(l.Provider)
	}
}

// whyStopped says why a pool launches nothing, whatever is missing.
func (v view) whyStopped(limit Limit) string {
	o := v.o
	if limit == LimitControl {
		return v.unknown("whether people want the pool to run", o.Asked.At, o.Asked.Known)
	}
	if limit == LimitDemand {
		return v.unknown("the amount of work", o.Demand.At, o.Demand.Known)
	}
	if limit == LimitObservation {
		return v.unknown("the number of workers", o.Workers.At, o.Workers.Known)
	}
	return v.unwanted(o.Asked.Mode)
}

// unknown says of a part of the observation that it is missing or too old.
func (v view) unknown(what string, at time.Time, known bool) string {
	if !known {
		return ": " + what + " is not known"
	}
	return fmt.Sprintf(": %s was last known %s ago, more than %s", what, short(v.now.Sub(at)), short(v.p.StaleAfter))
}

// waitsFor says what workers that are not launched are held by.
func (v view) waitsFor(t allotment) string {
	h := t.by
	switch {
	case h.hold != nil:
		text := "held"
		if h.hold.Trial > 0 {
			text = "wait for a trial"
		}
		if h.provider != "" {
			text += " on " + h.provider
		}
		text += ": " + strings.TrimRight(h.hold.Reason, ".")
		if until := h.hold.Until.Sub(v.now); h.hold.Trial == 0 && until > busyTick && until < notAgain {
			text += "; tried again in " + short(until)
		}
		return text
	case h.others > 0:
		return fmt.Sprintf("wait for %s of another revision to leave", count(h.others, "worker"))
	case h.unknown:
		return "held: it is not known what the workers take of " + takenOf(h.limit)
	case h.limit == LimitTaskDefinition:
		return "held: no task definition is known"
	case h.limit == LimitPacing:
		return v.rates(t.shares)
	case h.limit == LimitQuota:
		return fmt.Sprintf("held by the quota of %s vCPUs on %s", strconv.FormatFloat(v.supply.policy.VCPUs[h.provider], 'f', -1, 64), h.provider)
	case h.limit == LimitAddresses:
		return fmt.Sprintf("held by the account's %s network interfaces", commas(v.supply.policy.NetworkInterfaces))
	case h.limit == LimitBudget:
		return fmt.Sprintf("held by the budget of %s an hour", v.supply.policy.PerHour)
	}
	for _, c := range v.p.Capacity {
		if c.Provider == h.provider {
			return fmt.Sprintf("held by the pool's maximum of %s on %s", commas(c.Max), h.provider)
		}
	}
	return "held: " + string(h.limit)
}

// takenOf is what a limit is about that workers take a share of.
func takenOf(limit Limit) string {
	if limit == LimitBudget {
		return "the budget"
	}
	return "the quota of vCPUs"
}

// rates names the launch rates that are waited for, and how fast they are together.
func (v view) rates(shares []share) string {
	perSecond := 0.0
	var providers []string
	for _, x := range shares {
		if x.waits {
			providers = append(providers, x.Provider)
			perSecond += v.supply.lanes[x.Provider].rate
		}
	}
	text := "held by the launch rate of "
	if len(providers) > 1 {
		text = "held by the launch rates of "
	}
	text += strings.Join(providers, " and ")
	if perSecond > 0 {
		text += " (" + strconv.FormatFloat(math.Round(perSecond*10)/10, 'f', -1, 64) + "/s)"
	}
	return text
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return commas(n) + " " + noun + "s"
}

// commas writes a number of 0 or more with a comma between each three digits.
func commas(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// short is a duration in whole seconds, or from an hour on in whole minutes.
func short(d time.Duration) string {
	unit := time.Second
	if d >= time.Hour {
		unit = time.Minute
	}
	text := d.Round(unit).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// notAgain is how far off a hold's end is when there is no next try: only people end it.
const notAgain = 24 * time.Hour
