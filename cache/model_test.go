package cache

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"spate/job"
)

// Bounds that the package's documentation gives, with what the world takes for its calls.
const (
	settlesIn    = 3 * time.Second   // for the view to have what the ledger has, while the follower follows
	cutOffIn     = time.Minute       // more, while it does not
	toldIn       = 2 * time.Second   // for the ledger to have what S3 has, once nobody is left to tell it
	calmFor      = 40 * time.Second  // until time-outs and the waits between tries are used up
	healsWithin  = 6 * time.Minute   // once nothing goes wrong any more; a message that was being handled comes again after two
	endsQuietly  = 150 * time.Second // in the end, for all messages to have come again and be dealt with
	onItsVerge   = 2 * time.Second   // around an expiry, when either answer will do
	trailLength  = 16
	created      = "created" // the queue of S3's notifications
	deadCreated  = created + "-dlq"
	nobodyIsTold = "nobody is told"
)

// knowledge is what the model knows of one key.
type knowledge struct {
	item item

	made   time.Time // its manifest in S3; zero when there is none
	wanted bool      // whoever put or deleted it last, copies in place aside, meant it to be there
	turned time.Time // when that last changed, or may have
	dirty  bool      // it may have changed since it was looked at
	calls  int       // under way that may change S3 or the ledger

	// Excuses for a ledger that does not say what S3 says.
	late    time.Time // until when a fault may hold back what S3 has to tell
	excuse  string    // why nobody tells the ledger; over when it agrees
	excused time.Time // when there was an excuse the last time

	planted bool // put into the view by hand, where nobody looks for it

	trail []string // what was done to it and what came of that, the latest last
}

// item is what the ledger has of a key.
type item struct {
	written time.Time // when a call that names it last began or ended
	present bool      // and when it expires
	expires time.Time
	since   time.Time // when present last changed, as far as seen
	settled bool      // the view must have it so
}

// lives reports whether S3 has the output, and the cache may say so.
func (k *knowledge) lives(now time.Time, retention time.Duration) bool {
	return !k.made.IsZero() && now.Before(k.made.Add(retention))
}

// agrees reports whether the ledger says what S3 says.
func (k *knowledge) agrees(now time.Time, retention time.Duration) bool {
	expires := k.made.Truncate(time.Second).Add(retention)
	if !k.lives(now, retention) {
		return !k.item.present || !k.item.expires.After(now) || !k.made.IsZero() && !k.item.expires.After(expires)
	}
	return k.item.present && k.item.expires.Equal(expires)
}

// onVerge reports whether an output is about to expire.
func (k *knowledge) onVerge(now time.Time, retention time.Duration) bool {
	return k.lives(now, retention) && k.made.Add(retention).Sub(now) < onItsVerge
}

// undisputed is since when S3 and ledger have been so, and nobody had an excuse to say otherwise.
func (k *knowledge) undisputed() time.Time {
	return slices.MaxFunc([]time.Time{k.turned, k.late, k.excused, k.item.since, k.item.written}, time.Time.Compare)
}

// note adds to a key's trail.
func (h *history) note(i int, format string, args ...any) {
	k := h.known[i]
	line := fmt.Sprintf("%9.3fs %s", time.Since(h.began).Seconds(), fmt.Sprintf(format, args...))
	h.set(func() { k.trail = append(k.trail[max(0, len(k.trail)+1-trailLength):], line) })
}

// listen has the model told of what is written.
func (h *history) listen() {
	each := func(text string, do func(k *knowledge)) {
		for i, key := range h.keys {
			if strings.Contains(text, key.String()) {
				h.set(func() { do(h.known[i]) })
			}
		}
	}
	h.wrote = func(body []byte) {
		each(string(body), func(k *knowledge) { k.item.written, k.item.settled = time.Now(), false })
	}
	h.turned = func(path string, began bool) {
		if !strings.HasSuffix(path, job.ManifestFile) {
			return
		}
		each(path, func(k *knowledge) {
			k.dirty, k.turned, k.late = true, time.Now(), later(k.late, time.Now().Add(h.held()))
			if began {
				k.calls++
			} else {
				k.calls--
			}
		})
	}
}

// held is for how long faults hold back what S3 tells now. The caller holds the lock.
func (h *history) held() (sum time.Duration) {
	for _, d := range h.delays {
		if time.Now().Before(d.until) {
			sum += d.by + time.Second
		}
	}
	return sum
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// look brings the model up to date, and compares the ledger with S3.
func (h *history) look() {
	told := strings.Join(append(h.box.Messages(created), h.box.Messages(deadCreated)...), "\n")
	now := time.Now()
	items := h.inLedger(h.keys)
	for i, key := range h.keys {
		k := h.known[i]
		if h.isDirty(k) {
			made := h.made(key)
			var risen bool
			h.set(func() { k.made, risen = made, !made.IsZero() && !k.wanted && k.calls == 0 })
			if made.IsZero() {
				h.note(i, "S3 does not have it")
			} else {
				h.note(i, "S3 has it since %.0fs", made.Sub(h.began).Seconds())
			}
			if risen {
				h.fail(i, "somebody deleted it, and nobody made it anew; and it is there")
			}
		}
		wait := h.patience()
		var changed, wrong bool
		h.set(func() {
			expires, present := items[key]
			if changed = k.item.present != present || !k.item.expires.Equal(expires); changed {
				k.item = item{written: k.item.written, present: present, expires: expires, since: now}
				k.planted = k.planted && present // the follower takes it out
			}
			if now.Sub(k.item.since) >= wait && now.Sub(k.item.written) >= wait {
				k.item.settled = true
			}
			agrees := k.agrees(now, h.retention)
			if agrees && k.calls == 0 && (k.lives(now, h.retention) || !k.item.present) { // the view keeps what has expired as long as the ledger
				k.excuse = ""
			}
			if k.excuse != "" || k.calls > 0 || strings.Contains(told, key.String()) {
				k.excused = now
			}
			wrong = !agrees && !k.onVerge(now, h.retention) && now.Sub(k.undisputed()) > toldIn
		})
		if changed {
			h.note(i, "the ledger has it: %v, until %.0fs", k.item.present, k.item.expires.Sub(h.began).Seconds())
		}
		if wrong {
			h.fail(i, "the ledger has it: %v; S3 has it: %v; and for %s nobody has been about to tell", k.item.present, k.lives(now, h.retention), now.Sub(k.undisputed()))
		}
	}
}

// isDirty reports whether S3 is to be looked at, once.
func (h *history) isDirty(k *knowledge) (dirty bool) {
	h.set(func() { dirty, k.dirty = k.dirty, k.calls > 0 })
	return dirty
}

// patience is how long the view may not know yet what the ledger has.
func (h *history) patience() time.Duration {
	if time.Since(h.trouble) >= calmFor && !h.leader.gate.isDead() && !h.leader.gate.stands() {
		return settlesIn
	}
	return cutOffIn + settlesIn
}

// snapshot is what is known at a time.
func (h *history) snapshot() []knowledge {
	all := make([]knowledge, len(h.known))
	h.set(func() {
		for i, k := range h.known {
			all[i] = *k
		}
	})
	return all
}

// question is what was known when somebody began to ask.
type question struct {
	who      string
	began    time.Time
	followed time.Time // all that the ledger had before it is in the view, as far as the asker knows
	patience time.Duration
	before   []knowledge
}

func (h *history) question(who string, p *process) question {
	p.Epochs.Current(h.t.Context(), time.Now()) // which reads what it does not know
	p.Epochs.mu.Lock()
	followed := p.Epochs.until
	p.Epochs.mu.Unlock()
	h.look() // an answer may have taken long to come: who has an excuse now?
	return question{who, time.Now(), followed, h.patience(), h.snapshot()}
}

// ask compares the answers of a process with what was known before and still is: at once, wherever no documented excuse is
// left for them.
func (h *history) ask(who string, p *process) {
	q := h.question(who, p)
	h.judge(q, p.Lookup(h.t.Context(), h.keys))
}

// mustKnow reports whether the view must have what has been so since then.
func (q question) mustKnow(since time.Time) bool {
	return !q.followed.Before(since.Add(settlesIn)) || !q.began.Before(since.Add(q.patience))
}

func (h *history) judge(q question, answers []job.Presence) {
	for i, k := range h.snapshot() {
		was := q.before[i]
		if was.turned != k.turned || was.item.since != k.item.since || was.item.written != k.item.written || k.dirty || k.planted {
			continue
		}
		undisputed := later(k.undisputed(), was.undisputed())
		certain := q.mustKnow(undisputed.Add(toldIn))
		inLedger := later(k.item.since, k.item.written)
		settled := was.item.settled && k.item.settled || q.mustKnow(inLedger)
		lasts := k.lives(q.began.Add(onItsVerge), h.retention) && k.lives(time.Now().Add(onItsVerge), h.retention)
		switch answers[i] {
		case job.Hit:
			if certain && k.made.IsZero() {
				h.fail(i, "%s calls it a hit; S3 has not had it, and nobody has had an excuse, for %s", q.who, q.began.Sub(undisputed))
			}
			if settled && !k.item.present {
				h.fail(i, "%s calls it a hit; it has not been in the ledger for %s, and the view is of %s ago", q.who, q.began.Sub(inLedger), q.began.Sub(q.followed))
			}
		case job.Miss:
			if certain && lasts {
				h.fail(i, "%s calls it a miss; S3 has had it, and nobody has had an excuse, for %s", q.who, q.began.Sub(undisputed))
			}
			if settled && k.item.present && time.Now().Before(k.item.expires) {
				h.fail(i, "%s calls it a miss; it has been in the ledger for %s, and the view is of %s ago", q.who, q.began.Sub(inLedger), q.began.Sub(q.followed))
			}
		case job.Unknown:
		}
	}
}

// askLedger compares what the ledger says to those whom the view does not answer: there is no lag then.
func (h *history) askLedger(who string, p *process) {
	h.look()
	before, began := h.snapshot(), time.Now()
	answers, err := p.Ledger.Lookup(h.t.Context(), began, h.keys)
	if err != nil {
		return
	}
	for i, k := range h.snapshot() {
		if was := before[i]; was.turned != k.turned || k.dirty || began.Sub(later(k.undisputed(), was.undisputed())) < toldIn {
			continue
		}
		if answers[i] == job.Hit && !k.lives(began, h.retention) {
			h.fail(i, "%s reads of it in the ledger as of a hit; made %s, retention %s", who, k.made, h.retention)
		}
	}
}

// fail ends the history.
func (h *history) fail(i int, format string, args ...any) {
	var trail []string
	h.set(func() { trail = slices.Clone(h.known[i].trail) })
	h.t.Errorf("%9.3fs %s: %s\nwhat happened to it:\n%s", time.Since(h.began).Seconds(), h.keys[i].Short(), fmt.Sprintf(format, args...), strings.Join(trail, "\n"))
}

// differences are what is wrong once all should have healed.
func (h *history) differences() []string {
	var all []string
	if n := h.waiting(); n != "0 and 0" {
		all = append(all, n+" notifications wait")
	}
	items := h.inLedger(h.keys)
	answers := h.leader.askView(h.t.Context(), time.Now(), h.keys)
	for i, k := range h.keys {
		inLedger := time.Now().Before(items[k])
		if inS3 := h.inS3(k); inS3 != inLedger {
			all = append(all, fmt.Sprintf("%s: in S3 %v, in the ledger %v", k.Short(), inS3, inLedger))
		}
		if inView := answers[i] == job.Hit; answers[i] == job.Unknown || inView != inLedger {
			all = append(all, fmt.Sprintf("%s: in the ledger %v, in the view %s", k.Short(), inLedger, answers[i]))
		}
	}
	return all
}
