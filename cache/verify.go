package cache

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"spate/internal/objects"
	"spate/job"
)

// VerifyOptions say which outputs to verify. The zero value is all.
type VerifyOptions struct {
	Keys     iter.Seq2[job.Key, error] // these and no others; nil: those of the ledger, and those that S3 lists
	Sample   int                       // of the ledger's, and as many of those that S3 lists, by chance; 0: all
	Settle   time.Duration             // after which those that disagree are asked again; default 3 s, as what is under way arrives within about one
	Remember int                       // how many that disagree are remembered to be asked again; default 1 million, about 100 MB
	// HeadsPerSecond bounds the requests for manifests; default 5500, which one prefix of S3 serves (Amazon S3 user guide). The
	// outputs' 256 prefixes leave workers and planner theirs.
	HeadsPerSecond int
	Progress       func(phase Phase, n int64) // called now and then with how many have been done in a phase, never twice at once; may be nil
}

// Phase is what is being verified.
type Phase string

// The phases of a verification, in their order.
const (
	PhaseOutputs Phase = "outputs" // of the ledger, or those asked for: of each of the three, whether it has them
	PhaseListed  Phase = "listed"  // those that S3 lists: whether the ledger has them
	PhaseAgain   Phase = "again"   // those about which the three disagreed
)

// Verification is how far view, ledger and S3 agree.
type Verification struct {
	Outputs   int64                  `json:"outputs"`              // about which all three were asked
	Listed    int64                  `json:"listed"`               // that S3 lists, about which the ledger was asked
	ViewAsked bool                   `json:"view_asked"`           // false: Redis could not be asked about all of them, or no epoch is live
	ViewError string                 `json:"view_error,omitempty"` // why Redis was not asked any more
	ViewUntil int64                  `json:"view_until,omitempty"` // how many outputs it had been asked about by then
	Passing   int64                  `json:"passing"`              // disagreements that were gone a few seconds later
	Counts    map[Disagreement]int64 `json:"counts"`               // of those that stayed
	Beyond    int64                  `json:"beyond,omitempty"`     // disagreements past the first VerifyOptions.Remember: not asked again, and not counted
	Examples  []Example              `json:"examples"`             // at most maxExamples, wrong hits first
}

// Example is an output about which the three disagree.
type Example struct {
	Key       job.Key      `json:"key"`
	Disagree  Disagreement `json:"disagreement"`
	View      string       `json:"view"` // hit, miss or unknown, as the following
	Ledger    string       `json:"ledger"`
	S3        string       `json:"s3"`
	Made      time.Time    `json:"made_at,omitzero"`    // the manifest; zero when there is none
	ExpiresAt time.Time    `json:"expires_at,omitzero"` // the ledger's item; zero when there is none
	Run       string       `json:"run,omitzero"`        // that caused it, as the ledger has it
}

const (
	maxExamples = 100
	// maxRemembered bounds the memory that a lost ledger of millions of outputs takes.
	maxRemembered = 1_000_000
	// Outputs are asked about so many at a time, and so many batches at the same time: while one waits for the ledger another
	// waits for S3.
	verifyBatch     = 200
	parallelBatches = 4
	headsPerSecond  = 5500
	settleTime      = 3 * time.Second
	// samplePlaces is in how many places of the ledger a sample is taken.
	samplePlaces = 16
)

// verification is one under way.
type verification struct {
	options VerifyOptions

	mu        sync.Mutex
	Witnesses // without the view once Redis did not answer
	result    Verification
	differ    []job.Key // to be asked again
}

// Verify compares what view, ledger and S3 say. Outputs about which they disagree are asked again a few seconds later, and
// only what they then disagree about counts: what is made or removed meanwhile is seen by one before the other. It
// changes nothing.
func (w Witnesses) Verify(ctx context.Context, o VerifyOptions) (Verification, error) {
	if o.Progress == nil {
		o.Progress = func(Phase, int64) {}
	}
	if o.Settle == 0 {
		o.Settle = settleTime
	}
	if o.Remember == 0 {
		o.Remember = maxRemembered
	}
	if o.HeadsPerSecond == 0 {
		o.HeadsPerSecond = headsPerSecond
	}
	w.heads = rate.NewLimiter(rate.Limit(o.HeadsPerSecond), max(1, o.HeadsPerSecond/10))
	v := &verification{Witnesses: w, options: o, result: Verification{Counts: map[Disagreement]int64{}, Examples: []Example{}}}
	steps := []func(context.Context) error{v.ledgers, v.listed, v.again}
	if o.Keys != nil {
		steps = []func(context.Context) error{func(ctx context.Context) error { return v.each(ctx, o.Keys) }, v.again}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return v.result, fmt.Errorf("verify cache: %w", err)
		}
	}
	return v.result, nil
}

// remember has a key asked again, if there is room.
func (v *verification) remember(k job.Key) {
	if len(v.differ) == v.options.Remember {
		v.result.Beyond++
		return
	}
	v.differ = append(v.differ, k)
}

// ledgers asks about the outputs of the ledger.
func (v *verification) ledgers(ctx context.Context) error {
	now := time.Now()
	if v.options.Sample == 0 {
		return v.each(ctx, func(yield func(job.Key, error) bool) {
			for page, err := range v.Ledger.Scan(ctx, now, ScanOptions{Eventual: true}) {
				if err != nil {
					yield(job.Key{}, err)
					return
				}
				for _, o := range page.Outputs {
					if !yield(o.Key, nil) {
						return
					}
				}
			}
		})
	}
	sample := keySet{}
	for range samplePlaces {
		if err := v.sampleLedger(ctx, now, sample, randomKey()); err != nil {
			return err
		}
	}
	if len(sample) < v.options.Sample { // a small ledger
		if err := v.sampleLedger(ctx, now, sample, ""); err != nil {
			return err
		}
	}
	keys := sample.slice()
	keys = keys[:min(len(keys), v.options.Sample)]
	return v.each(ctx, func(yield func(job.Key, error) bool) {
		for _, k := range keys {
			if !yield(k, nil) {
				return
			}
		}
	})
}

// sampleLedger takes some outputs from one place of the ledger on, or from the beginning as many as are wanting.
func (v *verification) sampleLedger(ctx context.Context, now time.Time, sample keySet, after string) error {
	most := len(sample) + (v.options.Sample+samplePlaces-1)/samplePlaces
	if after == "" {
		most = v.options.Sample
	}
	for page, err := range v.Ledger.Scan(ctx, now, ScanOptions{After: after, Eventual: true}) {
		if err != nil {
			return err
		}
		for _, o := range page.Outputs {
			if len(sample) < most {
				sample.add(o.Key)
			}
		}
		if len(sample) >= most {
			break
		}
	}
	return nil
}

// parallelLists is in how many places of the bucket outputs are listed at once.
const parallelLists = 16

// listed looks for outputs in S3 that the ledger lacks.
func (v *verification) listed(ctx context.Context) error {
	l := &lister{verification: v, seen: keySet{}}
	prefixes := mathrand.Perm(256)
	if err := l.all(ctx, prefixes, v.options.Sample > 0); err != nil {
		return err
	}
	if len(l.seen) >= v.options.Sample {
		return nil
	}
	return l.all(ctx, prefixes, false) // few outputs: those before the places as well
}

// lister lists several prefixes at once.
type lister struct {
	*verification
	mu   sync.Mutex
	seen keySet // of a sample
}

// all lists prefixes, from their beginnings or from any places on.
func (l *lister) all(ctx context.Context, prefixes []int, anywhere bool) error {
	lists, ctx := errgroup.WithContext(ctx)
	lists.SetLimit(parallelLists)
	for _, p := range prefixes {
		digits, after := hex.EncodeToString([]byte{byte(p)}), ""
		if anywhere {
			after = job.OutputsBelow(digits) + digits + randomKey()[2:]
		}
		lists.Go(func() error { return l.list(ctx, digits, after) })
	}
	return lists.Wait()
}

// list asks the ledger about the live outputs behind a place of the bucket: of a sample, those that are still wanting,
// of one page unless all are looked through.
func (l *lister) list(ctx context.Context, digits, after string) error {
	if l.enough() {
		return nil
	}
	for page, err := range l.S3.Pages(ctx, job.OutputsBelow(digits), after) {
		if err != nil {
			return err
		}
		now := time.Now()
		keys := l.choose(now, page, after != "")
		items, err := l.Ledger.Get(ctx, now, keys...)
		if err != nil {
			return err
		}
		l.count(keys, items)
		if after != "" || l.enough() {
			break
		}
	}
	return nil
}

func (l *lister) enough() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.options.Sample > 0 && len(l.seen) >= l.options.Sample
}

// choose takes the live outputs of a page; of a sample, those that are wanting, and of one page not all.
func (l *lister) choose(now time.Time, page []objects.Info, onePage bool) []job.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []job.Key
	for _, o := range page {
		key, ok := job.ParseManifestPath(o.Key)
		if _, again := l.seen[key]; ok && !again && o.LastModified.Add(l.Retention).After(now) {
			keys = append(keys, key)
		}
	}
	if most := l.options.Sample; most > 0 {
		share := most
		if onePage {
			share = max(1, most/samplePlaces)
		}
		keys = keys[:min(len(keys), most-len(l.seen), share)]
		l.seen.add(keys...)
	}
	return keys
}

// count counts what was listed, and remembers what the ledger lacks.
func (l *lister) count(keys []job.Key, items map[job.Key]Output) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		if _, ok := items[k]; !ok {
			l.remember(k)
		}
	}
	l.result.Listed += int64(len(keys))
	l.options.Progress(PhaseListed, l.result.Listed)
}

// each asks about keys.
func (v *verification) each(ctx context.Context, keys iter.Seq2[job.Key, error]) error {
	return v.batches(ctx, keys, func(told []Testimony) {
		for _, t := range told {
			if t.Disagreement(v.Retention) != "" {
				v.remember(t.Key)
			}
		}
		v.result.Outputs += int64(len(told))
		v.options.Progress(PhaseOutputs, v.result.Outputs)
	})
}

// batches asks about keys, some batches at the same time, and has what was told taken by one at a time, in any order.
func (v *verification) batches(ctx context.Context, keys iter.Seq2[job.Key, error], take func([]Testimony)) error {
	if err := v.bucketIsThere(ctx); err != nil {
		return err
	}
	asks, ctx := errgroup.WithContext(ctx)
	asks.SetLimit(parallelBatches)
	ask := func(batch []job.Key) {
		asks.Go(func() error { return v.ask(ctx, batch, take) })
	}
	var batch []job.Key
	for key, err := range keys {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return cmp.Or(asks.Wait(), err) // an ask that failed has ended the context
		}
		if batch = append(batch, key); len(batch) == verifyBatch {
			ask(batch)
			batch = nil
		}
	}
	if len(batch) > 0 {
		ask(batch)
	}
	return asks.Wait()
}

// ask asks all three. A Redis that does not answer is asked no more.
func (v *verification) ask(ctx context.Context, keys []job.Key, take func([]Testimony)) error {
	v.mu.Lock()
	w := v.Witnesses
	v.mu.Unlock()
	told, err := w.Ask(ctx, time.Now(), keys...)
	v.mu.Lock()
	defer v.mu.Unlock()
	_, away := err.(*ViewError) //nolint:errorlint // Ask does not wrap it
	switch {
	case err != nil && !away:
		return err
	case v.View == nil: // never asked, or given up by another batch
	case away:
		v.View, v.result.ViewAsked = nil, false
		v.result.ViewError, v.result.ViewUntil = err.Error(), v.result.Outputs
	case slices.ContainsFunc(told, func(t Testimony) bool { return t.View != job.Unknown }):
		v.result.ViewAsked = true
	}
	take(told)
	return nil
}

// again asks once more about what was not agreed upon, and counts.
func (v *verification) again(ctx context.Context) error {
	if len(v.differ) == 0 {
		return nil
	}
	if err := sleep(ctx, v.options.Settle); err != nil {
		return err
	}
	done := int64(0)
	keys := func(yield func(job.Key, error) bool) {
		for _, k := range distinct(v.differ) {
			if !yield(k, nil) {
				return
			}
		}
	}
	return v.batches(ctx, keys, func(told []Testimony) {
		for _, t := range told {
			d := t.Disagreement(v.Retention)
			if d == "" {
				v.result.Passing++
				continue
			}
			v.result.Counts[d]++
			v.result.note(t, d)
		}
		done += int64(len(told))
		v.options.Progress(PhaseAgain, done)
	})
}

// note keeps an example, a wrong hit rather than another.
func (v *Verification) note(t Testimony, d Disagreement) {
	e := Example{Key: t.Key, Disagree: d, View: t.View.String(), Ledger: t.Ledger.String(), S3: t.S3.String(), Made: t.Made}
	if t.Item != nil {
		e.ExpiresAt, e.Run = t.Item.ExpiresAt, t.Item.Run
	}
	if d == WrongHit {
		v.Examples = slices.Insert(v.Examples, 0, e)
	} else {
		v.Examples = append(v.Examples, e)
	}
	v.Examples = v.Examples[:min(len(v.Examples), maxExamples)]
}

// randomKey is any place among keys.
func randomKey() string {
	var k job.Key
	_, _ = rand.Read(k[:]) // it never fails
	return k.String()
}
