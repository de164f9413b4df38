package cache

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/table"
)

// Status is how the cache does, as the process that runs its loops sees it and saves it every few seconds.
type Status struct {
	At    time.Time `dynamodbav:"at" json:"at"`
	Since time.Time `dynamodbav:"since" json:"since"` // when that process began
	// State is that of the view: live; suspect; building, when an epoch is being built and none answers; else retired.
	State    State `dynamodbav:"state" json:"state"`
	Epoch    int64 `dynamodbav:"epoch" json:"epoch"`       // that answers; 0 when none does
	Building int64 `dynamodbav:"building" json:"building"` // that is being built; 0 when none is

	View      ViewStatus      `dynamodbav:"view" json:"view"`
	Build     BuildStatus     `dynamodbav:"build" json:"build"`
	Follower  FollowerStatus  `dynamodbav:"follower" json:"follower"`
	Updater   UpdaterStatus   `dynamodbav:"updater" json:"updater"`
	Reconcile ReconcileStatus `dynamodbav:"reconcile" json:"reconcile"`
	Refresh   RefreshStatus   `dynamodbav:"refresh" json:"refresh"`

	Findings []Finding `dynamodbav:"findings" json:"findings"`                  // about the services that the cache rests on
	Checked  time.Time `dynamodbav:"checked,omitempty" json:"checked,omitzero"` // when these services were last looked at
}

// StatusEvery is how often a process that runs the cache's loops saves its status, and StatusSilence is after how long
// without one it is no longer believed to run.
const (
	StatusEvery   = 5 * time.Second
	StatusSilence = 30 * time.Second
)

// firstStatus is when the first status is saved: by then the parts have something to say.
const firstStatus = 2 * time.Second

// How often the services are looked at: seldom when all is well, and often while there is something to put right, so that a
// mended setting is seen to be.
const (
	checkEvery   = time.Hour
	recheckEvery = time.Minute
)

// StatusWriter keeps the last status that it was given.
type StatusWriter interface {
	SaveStatus(ctx context.Context, s Status) error
}

// inspection is a look at the services.
type inspection struct {
	at       time.Time
	findings []Finding
}

// inspect looks at the services until ctx ends.
func (c *Cache) inspect(ctx context.Context) error {
	for {
		found := c.check(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.inspected.Store(&inspection{time.Now(), found})
		wait := checkEvery
		if slices.ContainsFunc(found, func(f Finding) bool { return !f.IsNote() }) {
			wait = recheckEvery
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// report saves the cache's status until ctx ends. What fails is logged.
func (c *Cache) report(ctx context.Context) error {
	since := time.Now()
	var told []Finding
	for wait := firstStatus; ; wait = StatusEvery {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		status, err := c.status(ctx)
		if err == nil {
			status.At, status.Since = time.Now(), since
			if i := c.inspected.Load(); i != nil {
				status.Findings, status.Checked = i.findings, i.at
			}
			status.Findings = slices.Concat(status.Findings, judgeDelivery(c.bucket, since, status.Updater, status.Reconcile))
			if !slices.Equal(told, status.Findings) {
				c.logFindings(told, status.Findings)
				c.metrics.found(status.Findings)
				told = status.Findings
			}
			c.metrics.viewed(status.View)
			err = c.statuses.SaveStatus(ctx, status)
		}
		if err != nil && ctx.Err() == nil {
			c.log.Warn().Err(err).Msg("the cache's status is not saved")
		}
	}
}

// status is what the parts say of themselves.
func (c *Cache) status(ctx context.Context) (Status, error) {
	record, _, err := c.records.LoadEpoch(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{
		Epoch: record.Live, Building: record.Building, State: c.Epochs.State(),
		View: c.View.Status(), Build: c.Follower.BuildStatus(), Follower: c.Follower.Status().asOf(time.Now()),
		Updater: c.Updater.Status(), Reconcile: c.Reconciler.Status(), Refresh: c.Refresher.Status(),
	}
	if s.State != StateLive && s.State != StateSuspect || record.Live == 0 {
		s.State = StateRetired
		if record.Building != 0 {
			s.State = StateBuilding
		}
	}
	return s, nil
}

// logFindings tells of findings that there were not before.
func (c *Cache) logFindings(before, now []Finding) {
	for _, f := range now {
		if slices.Contains(before, f) {
			continue
		}
		level := zerolog.WarnLevel
		switch {
		case f.Severity == SeverityWrong:
			level = zerolog.ErrorLevel
		case f.IsNote():
			level = zerolog.InfoLevel
		}
		c.log.WithLevel(level).Str("check", string(f.Check)).Msg(f.String())
	}
}

// statusRecord is the sort key of the status, below table.CacheRecords.
const statusRecord = "STATUS"

type statusItem struct {
	table.Key
	Status
}

func statusKey() table.Key { return table.Key{PK: table.CacheRecords, SK: statusRecord} }

// SaveStatus replaces the status.
func (t *TableRecords) SaveStatus(ctx context.Context, s Status) error {
	if err := t.table.Put(ctx, statusItem{statusKey(), s}, table.Condition{}); err != nil {
		return fmt.Errorf("save status of cache: %w", err)
	}
	return nil
}

// ReadStatus reads the last status that was saved; false when none ever was.
func ReadStatus(ctx context.Context, t *table.Table) (Status, bool, error) {
	var item statusItem
	found, err := t.Get(ctx, statusKey(), &item)
	if err != nil {
		return Status{}, false, fmt.Errorf("read status of cache: %w", err)
	}
	item.Findings = slices.Concat([]Finding{}, item.Findings) // a list where there is nothing, as JSON wants it
	return item.Status, found, nil
}
