package scaler

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"spate/internal/awsclient"
)

// rooms are what is known of room for a pool's tasks: capacity providers and subnets that ECS said to have none are left
// alone for a while, each time for longer; a launch there makes it forgotten. The pool's other providers and subnets are
// used meanwhile. The zero value knows of nothing.
type rooms struct {
	providers map[string]*lack
	subnets   map[string]*lack
}

// lack is a place without room.
type lack struct {
	times  int // in a row that it was found full
	until  time.Time
	tried  time.Time // when it was last tried since; zero when it was not
	reason string    // ECS's own words
}

const (
	// lackFirst is how long a place without room is left alone, doubled each time up to lackMost.
	lackFirst = 15 * time.Second
	lackMost  = 5 * time.Minute
	// tryMost is how long what becomes of a try is waited for.
	tryMost = time.Minute
)

// answered takes over what RunTask said of room on a provider. A subnet that is named lacks addresses, for every provider;
// else it is the provider that lacks capacity.
func (r *rooms) answered(now time.Time, provider string, o Outcome) {
	launched := len(o.Tasks) > 0
	full := map[string]string{} // subnets, or "" for the provider
	note := func(class awsclient.Class, reason string) {
		if class == awsclient.ClassCapacity {
			full[awsclient.Subnet(reason)] = reason
		}
	}
	note(o.Class, o.Reason)
	for _, f := range o.Failures {
		note(f.Class, f.Reason)
	}
	for subnet, reason := range full {
		if subnet == "" {
			r.providers = found(r.providers, provider, now, reason, launched)
		} else {
			r.subnets = found(r.subnets, subnet, now, reason, launched)
		}
	}
	if len(full) > 0 || o.Class == awsclient.ClassThrottled || o.Class.Ambiguous() {
		if l := r.providers[provider]; l != nil && full[""] == "" {
			l.tried = time.Time{} // the try told nothing
		}
		return
	}
	if launched {
		delete(r.providers, provider)
	}
}

// found takes over that a place is full. Where some of a request were launched there still is a little room.
func found(places map[string]*lack, name string, now time.Time, reason string, some bool) map[string]*lack {
	if places == nil {
		places = map[string]*lack{}
	}
	l := places[name]
	if l == nil {
		l = &lack{}
		places[name] = l
	}
	l.reason = reason
	if remedy := awsclient.RoomRemedy(reason); remedy != "" {
		l.reason += ": " + remedy
	}
	if now.Before(l.until) {
		return places // another call of the same time
	}
	l.times++
	if some {
		l.times = 1
	}
	l.until, l.tried = now.Add(min(lackMost, lackFirst<<min(10, l.times-1))), time.Time{}
	return places
}

// open are the subnets that a request may name now. One that lacked addresses is named again when its time has come.
func (r *rooms) open(now time.Time, subnets []string) []string {
	return slices.DeleteFunc(slices.Clone(subnets), func(name string) bool {
		l := r.subnets[name]
		return l != nil && now.Before(l.until)
	})
}

// holds are what the lack of room keeps a pool from. A provider whose time has come gets one request, to see.
func (r *rooms) holds(now time.Time, subnets []string) []Hold {
	var holds []Hold
	for name, l := range r.providers {
		switch {
		case now.Before(l.until):
			holds = append(holds, Hold{Provider: name, Until: l.until, Limit: LimitCapacity, Reason: l.reason})
		case now.Sub(l.tried) < tryMost:
			holds = append(holds, Hold{Provider: name, Until: l.tried.Add(tryMost), Limit: LimitCapacity, Reason: l.reason})
		default:
			holds = append(holds, Hold{Provider: name, Until: now.Add(busyTick), Limit: LimitCapacity, Reason: l.reason, Trial: maxTasksPerCall})
		}
	}
	slices.SortFunc(holds, func(a, b Hold) int { return cmp.Compare(a.Provider, b.Provider) })
	if len(subnets) == 0 || len(r.open(now, subnets)) > 0 {
		return holds
	}
	first := r.subnets[subnets[0]]
	for _, name := range subnets {
		if l := r.subnets[name]; l.until.Before(first.until) {
			first = l
		}
	}
	reason := first.reason
	if n := len(subnets); n > 1 {
		reason = fmt.Sprintf("none of the %d subnets has room: %s", n, reason)
	}
	return append(holds, Hold{Until: first.until, Limit: LimitAddresses, Reason: reason})
}

// launching takes over that tasks are launched.
func (r *rooms) launching(now time.Time, launches []Launch) {
	for _, l := range launches {
		if lack := r.providers[l.Provider]; lack != nil && l.Count > 0 && !now.Before(lack.until) {
			lack.tried = now
		}
	}
}

// forget forgets what was so long ago that the next lack is a new one.
func (r *rooms) forget(now time.Time) {
	for name, l := range r.subnets {
		if now.Sub(l.until) > lackMost {
			delete(r.subnets, name)
		}
	}
}
