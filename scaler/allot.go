package scaler

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// allotment is what of a pool's missing workers is launched now, and what becomes of the rest.
type allotment struct {
	shares []share
	rest   int           // not launched now
	by     held          // what holds them back
	paced  int           // of the rest, those that only wait for a launch rate
	eta    time.Duration // until the last of those will have been launched; 0: not known
}

// share is what one provider of the pool gets.
type share struct {
	Capacity
	*lane
	used     int // workers that the pool has there, or may have
	launched int
	staying  int  // that wait for this provider's launch rate, whatever others could do
	waits    bool // for its launch rate
}

// held is something that keeps workers from being launched.
type held struct {
	limit    Limit
	provider string // whose limit it is; "" for the account's, or the pool's
	hold     *Hold  // by ECS's own words
	others   int    // workers of another revision, to leave
	unknown  bool   // the limit could not be looked at
}

// note keeps pacing before everything else, as it passes by itself; then what was met first, but for a provider's maximum,
// behind which there are others.
func (h *held) note(by held) {
	if by.rank() > h.rank() {
		*h = by
	}
}

func (h *held) rank() int {
	switch {
	case h.limit == "":
		return 0
	case h.limit == LimitCapacity && h.hold == nil:
		return 1
	case h.limit == LimitPacing:
		return 3
	}
	return 2
}

// allot spreads missing workers over the providers.
func (v *view) allot(missing int, s sizing) allotment {
	if v.o.Demand.TaskDefinition == "" {
		return allotment{rest: missing, by: held{limit: LimitTaskDefinition}}
	}
	t := allotment{shares: make([]share, len(v.p.Capacity))}
	for i, c := range v.p.Capacity {
		t.shares[i] = share{Capacity: c, lane: v.supply.lanes[c.Provider], used: v.o.used(c.Provider)}
	}
	if h := v.hold(""); h != nil {
		t.rest = max(0, missing-h.Trial)
		t.by = held{limit: h.Limit, hold: h}
		missing = min(missing, h.Trial)
	}
	var by held
	staying := 0
	take := func(x *share, want int, stays bool) {
		if want <= 0 {
			return
		}
		room, end := v.room(x)
		if room < want {
			by.note(end)
		}
		n := min(want, room, x.tokens)
		v.supply.launch(x, v.o.Demand.Worker, n)
		x.launched += n
		missing -= n
		later := min(want, room) - n
		if later == 0 {
			return
		}
		by.note(held{limit: LimitPacing})
		x.waits = true
		if stays {
			v.supply.reserve(x, v.o.Demand.Worker, later)
			x.staying += later
			missing -= later
			staying += later
		}
	}
	for i := range t.shares {
		x := &t.shares[i]
		take(x, min(missing, x.Min-x.used), true)
	}
	for i := range t.shares {
		take(&t.shares[i], missing, s.isPatient())
	}
	if missing+staying > 0 {
		t.rest += missing + staying
		t.by.note(by)
		v.await(&t, missing, staying)
	}
	return t
}

// room is how many more workers the pool may take from a provider, whatever the launch rate, and what ends it there.
func (v *view) room(x *share) (int, held) {
	taken := x.launched + x.staying
	room, by := max(0, x.Max-x.used-taken), held{limit: LimitCapacity, provider: x.Provider}
	if h := v.hold(x.Provider); h != nil {
		if n := max(0, h.Trial-taken); n <= room {
			room, by = n, held{limit: h.Limit, provider: x.Provider, hold: h}
		}
	}
	if n, shared := v.supply.room(x, v.o.Demand.Worker); n < room {
		room, by = n, shared
	}
	return room, by
}

// launches are the shares that launch something now.
func (t allotment) launches() []Launch {
	var launches []Launch
	for _, x := range t.shares {
		if x.launched > 0 {
			launches = append(launches, Launch{Provider: x.Provider, Count: x.launched})
		}
	}
	return launches
}

// await reserves for missing workers what they will take once the launch rates that are waited for let them, whichever
// provider it will be, and says when they and those that stay with a provider will have been launched.
func (v *view) await(t *allotment, missing, staying int) {
	waits := make([]wait, 0, len(t.shares))
	var end held // that others took meanwhile what the provider could have had
	for i := range t.shares {
		x := &t.shares[i]
		if !x.waits {
			continue
		}
		room := 0
		if missing > 0 {
			room, end = v.room(x)
			room = min(room, missing)
		}
		waits = append(waits, wait{x.lane, room, x.staying, v.o.Demand.Worker.perHour(x.Provider)})
	}
	slices.SortFunc(waits, func(a, b wait) int { return cmp.Compare(a.perHour, b.perHour) })
	if missing > 0 {
		t.paced = v.supply.await(waits, v.o.Demand.Worker, missing)
	}
	t.paced += staying
	if t.paced == 0 && len(waits) > 0 {
		t.by = end
	}
	t.eta = reach(waits, t.paced)
}

// wait is a provider whose launch rate is waited for.
type wait struct {
	*lane
	room    int // for workers that may come from any of the providers
	staying int // workers that come from this one, beside those
	perHour float64
}

func (w wait) most() float64 { return float64(w.room + w.staying) }

// await reserves what n workers may take, of whichever of the providers they will be, and returns how many of them there
// is room for in all. The cheapest provider comes first.
func (s *supply) await(waits []wait, worker WorkerSize, n int) int {
	fits, money, interfaces := 0, s.money, s.interfaces
	for _, w := range waits {
		more := max(0, min(n-fits, w.room, interfaces, fit(money, w.perHour)))
		fits += more
		interfaces -= more
		money -= cost(more, w.perHour)
		w.vcpus -= float64(w.room) * worker.VCPU
	}
	if fits > 0 {
		dearest := waits[len(waits)-1].perHour
		s.spend(fits, min(max(0, s.money), cost(fits, dearest)))
	}
	return fits
}

// reach is how long it takes the providers to launch n workers, each from when its rate is free and as many as it has
// room for. Their rates are in use until then. 0 when a rate is not known, or there is no room for so many.
func reach(waits []wait, n int) time.Duration {
	if n == 0 || slices.ContainsFunc(waits, func(w wait) bool { return w.rate <= 0 }) {
		return 0
	}
	launched := func(at float64) float64 {
		done := 0.0
		for _, w := range waits {
			done += min(w.most(), max(0, at-w.busy)*w.rate)
		}
		return done
	}
	// What is launched by a time grows steadily between the times at which a provider begins or ends.
	turns := make([]float64, 0, 2*len(waits))
	for _, w := range waits {
		turns = append(turns, w.busy, w.busy+w.most()/w.rate)
	}
	slices.Sort(turns)
	for i := 1; i < len(turns); i++ {
		from, to := turns[i-1], turns[i]
		before, after := launched(from), launched(to)
		if after < float64(n)-dust || after <= before {
			continue
		}
		at := from + (float64(n)-before)*(to-from)/(after-before)
		for _, w := range waits {
			w.busy = max(w.busy, min(at, w.busy+w.most()/w.rate))
		}
		return time.Duration(math.Ceil(at-dust)) * time.Second
	}
	return 0
}
