package scaler

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// prose is a sentence in the making, without a string for each of its parts: a tick writes one for every pool.
type prose []byte

func (t *prose) add(parts ...string) {
	for _, part := range parts {
		*t = append(*t, part...)
	}
}

// number adds a number of 0 or more, as [commas] writes it.
func (t *prose) number(n int) { *t = appendCommas(*t, n) }

// count adds a number of things.
func (t *prose) count(n int, noun string) { *t = appendCount(*t, n, noun) }

// sentence says what is wanted and there, what is done about it, and what keeps more from being launched.
func (v *view) sentence(d Decision, s sizing, t allotment) string {
	v.supply.words = v.supply.words[:0]
	v.write(&v.supply.words, d, s, t)
	return string(v.supply.words)
}

func (v *view) write(b *prose, d Decision, s sizing, t allotment) {
	demanded, idle := v.demanded(), d.Wanted == 0 && v.o.Demand.Outstanding == 0
	b.add(d.Pool, ": ")
	switch {
	case demanded && idle && v.halt == "" && d.Have+d.Other == 0:
		b.add("no work, no workers")
		return
	case demanded && idle:
		b.add("no work; ")
	case demanded:
		v.writeWanted(b, d, s)
		b.add("; ")
	}
	if v.o.Workers.Known {
		v.writeThere(b, d)
		b.add("; ")
	}
	switch {
	case v.halt != "":
		b.add("launching none", v.whyStopped(d.Limit))
		return
	case len(d.Launch) > 0 || t.rest > 0:
		writeLaunches(b, d.Launch)
	case d.Limit == LimitUseful || d.Limit == LimitDemand:
		b.add("launching none")
	case d.Wanted == 0 && d.Have+d.Other > 0:
		b.add("they leave when they are idle")
	default:
		b.add("enough")
	}
	switch {
	case t.rest > 0:
		b.add("; ")
		b.number(t.rest)
		b.add(" more ")
		v.writeWaits(b, t)
		if t.eta > 0 {
			b.add("; ")
			b.number(d.Target)
			b.add(" in about ", short(t.eta))
		}
	case d.Limit == LimitDemand:
		b.add("; more would find nothing to do: the queue has shown no job for ", short(v.now.Sub(v.o.Demand.QueueEmptySince)), ", and the planner looks for them")
	case d.Limit == LimitUseful:
		b.add("; more would find nothing to do when they have started, after ", short(v.startUp()))
	}
}

// writeWanted is the first part: how many workers, and for what.
func (v *view) writeWanted(b *prose, d Decision, s sizing) {
	b.count(d.Wanted, "worker")
	b.add(" wanted for ")
	b.count(v.o.Demand.Outstanding, "job")
	switch {
	case v.p.Within > 0 && v.o.Demand.Outstanding == 0:
	case v.p.Within > 0 && !s.deadline.known:
		b.add(" as soon as possible, as it is not known how long they take")
	case v.p.Within > 0 && s.deadline.due < 0:
		b.add(", ", short(-s.deadline.due), " late")
	case v.p.Within > 0 && s.deadline.late:
		b.add(", too many for the ", short(s.deadline.due), " that are left")
	case v.p.Within > 0:
		b.add(" in ", short(s.deadline.due))
	}
	switch {
	case s.topLimit == LimitCap && s.need > s.top:
		b.add(" (capped at ")
		b.number(s.top)
		b.add(" ", v.o.Asked.CapSet.text(v.now), ")")
	case s.need > s.top:
		b.add(" (max ")
		b.number(s.top)
		b.add(")")
	case s.need < s.wanted:
		b.add(" (min ")
		b.number(v.p.Min)
		b.add(")")
	}
}

// writeThere is the second part: the workers there are.
func (v *view) writeThere(b *prose, d Decision) {
	parts := 0
	part := func(n int, what string) {
		if n == 0 {
			return
		}
		if parts++; parts > 1 {
			b.add(", ")
		}
		b.number(n)
		b.add(what)
	}
	part(v.o.Workers.Running-v.o.Workers.Listed, " running")
	part(v.o.Workers.Listed, " not described yet")
	part(v.o.Workers.Pending, " starting")
	part(v.o.Workers.Stopping, " stopping")
	part(v.unsettled, " being launched")
	if parts == 0 {
		b.add("none there")
	}
	part(d.Other, " of another revision")
}

func writeLaunches(b *prose, launches []Launch) {
	b.add("launching ")
	if len(launches) == 0 {
		b.add("none")
	}
	for i, l := range launches {
		if i > 0 {
			b.add(" and ")
		}
		b.number(l.Count)
		b.add(" on ", l.Provider)
	}
}

// whyStopped says why a pool launches nothing, whatever is missing.
func (v *view) whyStopped(limit Limit) string {
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
func (v *view) unknown(what string, at time.Time, known bool) string {
	if !known {
		return ": " + what + " is not known"
	}
	return fmt.Sprintf(": %s was last known %s ago, more than %s", what, short(v.now.Sub(at)), short(v.p.StaleAfter))
}

// writeWaits says what workers that are not launched are held by.
func (v *view) writeWaits(b *prose, t allotment) {
	h := t.by
	switch {
	case h.hold != nil:
		v.writeHold(b, h)
		return
	case h.others > 0:
		b.add("wait for ")
		b.count(h.others, "worker")
		b.add(" of another revision to leave")
		return
	case h.unknown:
		b.add("held: it is not known what the workers take of ", takenOf(h.limit))
		return
	case h.limit == LimitTaskDefinition:
		b.add("held: no task definition is known")
		return
	case h.limit == LimitPacing:
		writeRates(b, t.shares)
		return
	case h.limit == LimitQuota:
		b.add("held by the quota of ", strconv.FormatFloat(v.supply.policy.VCPUs[h.provider], 'f', -1, 64), " vCPUs on ", h.provider)
		return
	case h.limit == LimitAddresses:
		b.add("held by the account's ")
		b.number(v.supply.policy.NetworkInterfaces)
		b.add(" network interfaces")
		return
	case h.limit == LimitBudget:
		b.add("held by the budget of ", v.supply.policy.PerHour.String(), " an hour")
		return
	}
	for _, c := range v.p.Capacity {
		if c.Provider == h.provider {
			b.add("held by the pool's maximum of ")
			b.number(c.Max)
			b.add(" on ", h.provider)
			return
		}
	}
	b.add("held: ", string(h.limit))
}

// writeHold tells ECS's own words.
func (v *view) writeHold(b *prose, h held) {
	if h.hold.Trial > 0 {
		b.add("wait for a trial")
	} else {
		b.add("held")
	}
	if h.provider != "" {
		b.add(" on ", h.provider)
	}
	b.add(": ", strings.TrimRight(h.hold.Reason, "."))
	if until := h.hold.Until.Sub(v.now); h.hold.Trial == 0 && until > busyTick && until < notAgain {
		b.add("; tried again in ", short(until))
	}
}

// takenOf is what a limit is about that workers take a share of.
func takenOf(limit Limit) string {
	if limit == LimitBudget {
		return "the budget"
	}
	return "the quota of vCPUs"
}

// writeRates names the launch rates that are waited for, and how fast they are together.
func writeRates(b *prose, shares []share) {
	waiting := 0
	for _, x := range shares {
		if x.waits {
			waiting++
		}
	}
	b.add("held by the launch rate")
	if waiting > 1 {
		b.add("s")
	}
	separator, perSecond := " of ", 0.0
	for _, x := range shares {
		if x.waits {
			b.add(separator, x.Provider)
			separator = " and "
			perSecond += x.rate
		}
	}
	if perSecond > 0 {
		b.add(" (")
		*b = strconv.AppendFloat(*b, math.Round(perSecond*10)/10, 'f', -1, 64)
		b.add("/s)")
	}
}

func count(n int, noun string) string { return string(appendCount(nil, n, noun)) }

func appendCount(to []byte, n int, noun string) []byte {
	to = append(append(appendCommas(to, n), ' '), noun...)
	if n != 1 {
		to = append(to, 's')
	}
	return to
}

// commas writes a number of 0 or more with a comma between each three digits.
func commas(n int) string { return string(appendCommas(nil, n)) }

func appendCommas(to []byte, n int) []byte {
	if n < 1000 {
		return strconv.AppendInt(to, int64(n), 10)
	}
	to = append(appendCommas(to, n/1000), ',')
	return append(to, byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
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
