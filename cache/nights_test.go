package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/time/rate"

	"spate/job"
)

var updateDocument = flag.Bool("update", false, "write the table of ninety nights into its document")

// nights is a model of a portfolio that is rolled up each night: the same jobs, but for those whose inputs change, first
// computed all in one night. An output that exists is a hit, is offered, and is refreshed when it is due, by the refresher's
// own rule, order and limiter.
type nights struct {
	outputs   int
	nights    int
	changed   float64          // share of the portfolio whose inputs change each night
	objects   int              // of an output, its manifest included
	perSecond float64          // objects that are refreshed; 0: none
	without   func(n int) bool // nights in which nothing runs; may be nil
}

const (
	modelLife    = 30 * 24 * time.Hour
	modelEvening = 2 * time.Hour // from when a night's outputs are computed to the next night's look-up, less than 24 h later
)

// night is what one night's run and the day after it did.
type night struct {
	expired   int // outputs that were computed again because they had expired
	refreshed int
	waiting   int // in the end, held back by the limit
}

func (m nights) run() []night {
	keys, created := make([]job.Key, m.outputs), make([]time.Time, m.outputs)
	index, waits := make(map[job.Key]int, m.outputs), make(map[job.Key]bool)
	serial := uint64(0)
	fresh := func(i int) {
		delete(index, keys[i])
		serial++
		keys[i] = sha256.Sum256(binary.BigEndian.AppendUint64(nil, serial))
		index[keys[i]] = i
	}
	for i := range keys {
		fresh(i)
	}
	begin := time.Unix(0, 0)
	var queue dueQueue
	var limiter *rate.Limiter
	if m.perSecond > 0 {
		limiter = rate.NewLimiter(rate.Limit(m.perSecond), m.objects)
	}
	var all []night
	changing := 0
	for n := range m.nights {
		var result night
		now := begin.Add(time.Duration(n) * 24 * time.Hour)
		if m.without == nil || !m.without(n) {
			for range int(math.Round(m.changed * float64(m.outputs))) { // each in its turn
				if n > 0 {
					fresh(changing)
					created[changing] = time.Time{}
					changing = (changing + 1) % m.outputs
				}
			}
			for i, k := range keys {
				switch computed := !created[i].IsZero(); {
				case computed && now.Before(created[i].Add(modelLife)):
					if limiter != nil && due(k, created[i], modelLife, now) && !waits[k] {
						queue.push(dueOutput{k, created[i], created[i].Add(modelLife)})
						waits[k] = true
					}
					continue
				case computed:
					result.expired++
				}
				created[i] = now.Add(modelEvening)
			}
		}
		for at, dawn := now, now.Add(24*time.Hour); limiter != nil; {
			o, late, ok := queue.pop(at)
			for _, l := range late {
				delete(waits, l.key)
			}
			if !ok {
				break
			}
			turn := limiter.ReserveN(at, m.objects)
			if at = at.Add(turn.DelayFrom(at)); at.After(dawn) {
				turn.CancelAt(at)
				queue.push(o)
				break
			}
			delete(waits, o.key)
			if i, ok := index[o.key]; ok && created[i].Equal(o.created) {
				created[i] = at
				result.refreshed++
			}
		}
		result.waiting = queue.len()
		all = append(all, result)
	}
	return all
}

// worst is the most that any night had of something.
func worst(all []night, of func(night) int) (most, at int) {
	for n, x := range all {
		if of(x) > most {
			most, at = of(x), n
		}
	}
	return most, at
}

func expired(n night) int   { return n.expired }
func refreshed(n night) int { return n.refreshed }

// fullModel is the one of which the document tells.
func fullModel() nights {
	return nights{outputs: 100_000, nights: 90, changed: 0.01, objects: 4, perSecond: 100}
}

// allowed is the share of a portfolio that a night may have to compute again because it expired.
const allowed = 0.05

const nightsDocument = "../docs/adr/0029-refresh.md"

// TestNoNightRecomputesWhatExpired also prints the table: go test ./cache -run TestNoNightRecomputes -v; with -update it
// writes it into the document.
func TestNoNightRecomputesWhatExpired(t *testing.T) {
	if testing.Short() {
		t.Skip("nine million look-ups a row")
	}
	t.Parallel()
	still, off, missed, week, slow, tooSlow := fullModel(), fullModel(), fullModel(), fullModel(), fullModel(), fullModel()
	still.perSecond, still.changed = 0, 0
	off.perSecond = 0
	missed.without = func(n int) bool { return n == 20 }
	week.without = func(n int) bool { return n >= 15 && n < 22 }
	slow.perSecond, tooSlow.perSecond = 1, 0.1
	rows := []struct {
		name  string
		model nights
		most  float64 // share of the portfolio; below 0: it is meant to be bad
	}{
		{"no refresh, nothing changes", still, -1},
		{"no refresh", off, -1},
		{"100 objects a second", fullModel(), 0},
		{"the same, one night missed", missed, 0},
		{"the same, a week without runs", week, 0},
		{"1 object a second", slow, 0},
		{"0.1 objects a second", tooSlow, -1},
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tworst night\twhich\tall nights\tmost refreshed\trefreshed\t")
	for _, row := range rows {
		all := row.model.run()
		most, at := worst(all, expired)
		busiest, _ := worst(all, refreshed)
		sumExpired, sumRefreshed := 0, 0
		for _, n := range all {
			sumExpired += n.expired
			sumRefreshed += n.refreshed
		}
		when := "-"
		if most > 0 {
			when = fmt.Sprint(at)
		}
		fmt.Fprintf(w, "%s\t%.1f %%\t%s\t%d\t%d\t%d\t\n", row.name, percent(most, row.model.outputs), when, sumExpired, busiest, sumRefreshed)
		if share := float64(most) / float64(row.model.outputs); row.most >= 0 && share > row.most || row.most < 0 && share <= allowed {
			t.Errorf("%s: night %d computes %.1f %% again", row.name, at, percent(most, row.model.outputs))
		}
	}
	w.Flush()
	t.Logf("\n%s", table.String())
	checkDocument(t, table.String())
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }

// checkDocument holds the document to the table, or writes it.
func checkDocument(t *testing.T, table string) {
	t.Helper()
	const begin, end = "```text\n", "```\n"
	text, err := os.ReadFile(nightsDocument)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no table", nightsDocument)
	}
	switch {
	case old == table:
	case *updateDocument:
		if err := os.WriteFile(nightsDocument, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has another table; run the test with -update", nightsDocument)
	}
}

func TestAWeekWithoutRunsCostsNextToNothingWheneverItIs(t *testing.T) {
	t.Parallel()
	m := nights{outputs: 1000, nights: 90, changed: 0.01, objects: 4, perSecond: 100}
	step := 1
	if testing.Short() {
		step = 5
	}
	for first := 1; first < m.nights; first += step {
		m.without = func(n int) bool { return n >= first && n < first+7 }
		if most, at := worst(m.run(), expired); most > m.outputs/200 {
			t.Errorf("without runs from night %d: night %d computes %d of %d again", first, at, most, m.outputs)
		}
	}
}

func TestRefreshesAreSpreadEvenlyOverTheirWindow(t *testing.T) {
	const keys, slots = 60_000, 6
	counts := make([]int, slots)
	for n := range keys {
		key := job.Key(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))))
		share := float64(dueAt(key, start, retention).Sub(start)) / float64(retention)
		if share < refreshFrom || share >= refreshUntil {
			t.Fatalf("%s is due at %v of its life", key.Short(), share)
		}
		counts[int((share-refreshFrom)/(refreshUntil-refreshFrom)*slots)]++
	}
	if low, high := slices.Min(counts), slices.Max(counts); float64(high-low) > 0.06*keys/slots {
		t.Errorf("due, by sixths of the window: %v", counts)
	}
}

func TestAnOutputIsDueFromItsMomentUntilItExpires(t *testing.T) {
	key := testKey(1)
	at := dueAt(key, start, retention)
	for _, row := range []struct {
		now  time.Time
		want bool
	}{
		{at.Add(-1), false}, {at, true}, {start.Add(retention - 1), true}, {start.Add(retention), false}, {start.Add(-time.Hour), false},
	} {
		if got := due(key, start, retention, row.now); got != row.want {
			t.Errorf("%s after it was made: %v, want %v", row.now.Sub(start), got, row.want)
		}
	}
}
