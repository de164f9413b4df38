package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// ReconcilerOptions configure a Reconciler. View, Ledger, Epochs, Follower, Updater, Objects and Retention are required.
type ReconcilerOptions struct {
	View      *View
	Ledger    *Ledger
	Epochs    *Epochs
	Follower  *Follower // through which the view is put right
	Updater   *Updater  // whose look at S3 puts the ledger right
	Objects   Listing
	Retention time.Duration
	Log       zerolog.Logger
	Metrics   *Metrics

	// ReadUnitsPerSecond bounds what is read from the ledger, in eventually consistent units of 8 KB; default 40. That is
	// $0.43 a day at $0.125 a million (Amazon DynamoDB pricing, on-demand) and goes through 10 million outputs of about 150
	// bytes in an hour and a quarter, which is one pass. The view is compared with them in four passes: five hours.
	ReadUnitsPerSecond int
	// PassBytes bounds what a pass remembers of the ledger; default 32 MiB, which is room for 2.8 million outputs.
	PassBytes int
	// SampleShare is how many of the outputs that a pass reads are looked for in S3; default 1 in 1,000: at 10 million some
	// 10,000 a pass, eight cents a day.
	SampleShare float64
	// PagesPerSecond is how many LIST requests of 1,000 objects are made; default 1: at most $0.43 a day, and 10 million
	// outputs of three files in eleven hours.
	PagesPerSecond float64

	PassEvery time.Duration // from one pass's begin to the next's, at least; default 1 hour
	WalkEvery time.Duration // from one listing's begin to the next's, at least; default 6 hours, in which an empty bucket takes 256 requests
	Grace     time.Duration // how old an output must be before it counts as missing anywhere: it is on its way; default 10 minutes
}

func (o *ReconcilerOptions) validate() error {
	switch {
	case o.View == nil || o.Ledger == nil || o.Epochs == nil || o.Follower == nil || o.Updater == nil || o.Objects == nil:
		return errors.New("reconciler: view, ledger, epochs, follower, updater and objects are required")
	case o.Retention <= 0 || o.ReadUnitsPerSecond < 0 || o.PassBytes < 0 || o.SampleShare < 0 || o.SampleShare > 1 || o.PagesPerSecond < 0,
		o.PassEvery < 0, o.WalkEvery < 0, o.Grace < 0:
		return errors.New("reconciler: retention, rates and bounds must be positive, and the share at most 1")
	}
	if o.ReadUnitsPerSecond == 0 {
		o.ReadUnitsPerSecond = 40
	}
	if o.PassBytes == 0 {
		o.PassBytes = 32 << 20
	}
	if o.SampleShare == 0 {
		o.SampleShare = 0.001
	}
	if o.PagesPerSecond == 0 {
		o.PagesPerSecond = 1
	}
	if o.PassEvery == 0 {
		o.PassEvery = time.Hour
	}
	if o.WalkEvery == 0 {
		o.WalkEvery = 6 * time.Hour
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Minute
	}
	return nil
}

// Reconciler compares view, ledger and bucket all the time, slowly, and has differences put right by those who write:
// the follower, and the updater's look at S3. It keeps nothing durable: after a restart it begins again, elsewhere.
type Reconciler struct {
	ReconcilerOptions
	pace  *rate.Limiter // of read units
	lists *rate.Limiter // of pages

	suspects suspects
	endings  *endings

	passBegan time.Time     // the pass under way; these two are the passes' alone
	passTook  time.Duration // the last one

	viewAgain time.Time // until then the walk does not ask the view; the walk's alone

	mu     sync.Mutex
	status ReconcileStatus
}

// NewReconciler checks the options.
func NewReconciler(o ReconcilerOptions) (*Reconciler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Reconciler{
		ReconcilerOptions: o, pace: readPace(o.ReadUnitsPerSecond), lists: rate.NewLimiter(rate.Limit(o.PagesPerSecond), 1),
		endings: newEndings(maxEndings),
	}, nil
}

// Differences are what was found and put right, by kind.
type Differences struct {
	ViewLacks   int64 `dynamodbav:"view_lacks" json:"view_lacks"`     // outputs in the ledger that the view did not have
	ViewExtra   int64 `dynamodbav:"view_extra" json:"view_extra"`     // in the view, and not in the ledger
	ViewExpired int64 `dynamodbav:"view_expired" json:"view_expired"` // in the view though their life is over: time to live is late
	LedgerLacks int64 `dynamodbav:"ledger_lacks" json:"ledger_lacks"` // outputs in the bucket that the ledger did not have
	LedgerExtra int64 `dynamodbav:"ledger_extra" json:"ledger_extra"` // in the ledger, and not in the bucket
}

// ReconcileStatus is what reconciliation has found since the process began, and how far it is.
type ReconcileStatus struct {
	PassBegan time.Time `dynamodbav:"pass_began" json:"pass_began,omitzero"` // the newest pass through the ledger
	PassEnded time.Time `dynamodbav:"pass_ended" json:"pass_ended,omitzero"` // the last whole one
	Scanned   int64     `dynamodbav:"scanned" json:"scanned"`                // outputs read in the newest pass
	Passes    int64     `dynamodbav:"passes" json:"passes"`                  // whole ones
	Discarded int64     `dynamodbav:"discarded" json:"discarded"`            // passes that an epoch's end or an error cut short
	Ranges    int       `dynamodbav:"ranges" json:"ranges"`                  // passes that it takes to compare all of the view
	Compared  time.Time `dynamodbav:"compared" json:"compared,omitzero"`     // when all of the view had been compared the last time

	Listed       int64       `dynamodbav:"listed" json:"listed"`                                  // objects of the bucket, since the process began
	ListShare    float64     `dynamodbav:"list_share" json:"list_share"`                          // of the bucket that the walk under way has listed
	ListEnded    time.Time   `dynamodbav:"list_ended" json:"list_ended,omitzero"`                 // when all of the bucket had been listed the last time
	Sampled      int64       `dynamodbav:"sampled" json:"sampled"`                                // outputs of the ledger looked for in the bucket
	Missing      int64       `dynamodbav:"missing" json:"missing"`                                // of these, the ones that were not there
	Found        Differences `dynamodbav:"found" json:"found"`                                    // and put right
	LedgerLacked time.Time   `dynamodbav:"ledger_lacked,omitempty" json:"ledger_lacked,omitzero"` // when the listing last found an output that the ledger did not have
	Failed       int64       `dynamodbav:"failed" json:"failed"`                                  // corrections that could not be made; a later pass tries again
	Error        string      `dynamodbav:"error" json:"error,omitzero"`                           // the last reason why something had to wait
	ErrorAt      time.Time   `dynamodbav:"error_at" json:"error_at,omitzero"`
}

// Status tells how reconciling goes. It is safe for concurrent use.
func (r *Reconciler) Status() ReconcileStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

func (r *Reconciler) note(change func(*ReconcileStatus)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.status)
}

// found counts differences that were put right.
func (r *Reconciler) found(kind string, n int) {
	if n == 0 {
		return
	}
	r.Metrics.differed(kind, n)
	r.note(func(s *ReconcileStatus) {
		switch kind {
		case viewLacks:
			s.Found.ViewLacks += int64(n)
		case viewExtra:
			s.Found.ViewExtra += int64(n)
		case viewExpired:
			s.Found.ViewExpired += int64(n)
		case ledgerLacks:
			s.Found.LedgerLacks += int64(n)
			s.LedgerLacked = time.Now()
		case ledgerExtra:
			s.Found.LedgerExtra += int64(n)
		}
	})
	if kind != viewExpired { // which is no fault of anybody's
		r.Log.Warn().Str("kind", kind).Int("outputs", n).Msg("a difference was found and put right")
	}
}

// livePause is how long to wait before looking again for a live epoch.
const livePause = 10 * time.Second

// Run reconciles until ctx ends, and then returns its error.
func (r *Reconciler) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.compare(ctx) })
	group.Go(func() error { return r.walk(ctx) })
	group.Go(func() error { return r.expire(ctx) })
	return group.Wait()
}

// steady is the live epoch, once there is one and none is being built beside it.
func (r *Reconciler) steady(ctx context.Context) (Mark, error) {
	for {
		if mark, is := r.isSteady(ctx); is {
			return mark, nil
		}
		if err := sleep(ctx, livePause); err != nil {
			return Mark{}, err
		}
	}
}

func (r *Reconciler) isSteady(ctx context.Context) (Mark, bool) {
	mark, live := r.Epochs.Current(ctx, time.Now())
	return mark, live && !r.Follower.BuildStatus().Building
}

// complain notes what went wrong.
func (r *Reconciler) complain(what string, err error) {
	now := time.Now()
	r.note(func(s *ReconcileStatus) { s.Error, s.ErrorAt = fmt.Sprintf("%s: %s", what, err), now })
	r.Log.Warn().Err(err).Msg(what)
}

// hold notes why something has to wait, and waits. Another epoch, which comes with each start and rebuild, nobody needs to hear of.
func (r *Reconciler) hold(ctx context.Context, what string, err error, failures int) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, errOtherEpoch) {
		r.Log.Debug().Err(err).Msg(what)
	} else {
		r.complain(what, err)
	}
	return sleep(ctx, livePause+backoff(failures))
}
