package cache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// Options make a Cache. All but Prefix, WritesPerSecond, RefreshPerSecond, Statuses, Check, Log and Registerer are required.
type Options struct {
	Redis            redis.UniversalClient
	Prefix           string // of all keys in Redis; default "spate"
	DynamoDB         DynamoDB
	Streams          Streams
	OutputsTable     string
	Records          Records
	Queue            Queue // of S3's notifications
	Objects          Store
	Bucket           string
	Retention        time.Duration                   // outputs older than this count as absent
	WritesPerSecond  int                             // ledger items; default 2000
	Statuses         StatusWriter                    // nil: the status is not saved
	Check            func(context.Context) []Finding // looks at the services, such as [Inspector.Findings]; nil: nobody does
	RefreshPerSecond int                             // objects of outputs in use that are copied in place before they expire; 0: none
	Log              zerolog.Logger
	Registerer       prometheus.Registerer
}

// Store is what the cache uses of *objects.Store, whose contract it is.
type Store interface {
	RefreshObjects
	Listing
}

// Cache is the whole of it. Lookup and Forget work in any process; Run is meant for at most one. It is safe for concurrent
// use.
type Cache struct {
	View       *View
	Ledger     *Ledger
	Epochs     *Epochs
	Updater    *Updater
	Follower   *Follower
	Refresher  *Refresher
	Reconciler *Reconciler

	records  Records
	statuses StatusWriter
	check    func(context.Context) []Finding
	bucket   string
	log      zerolog.Logger
	metrics  *Metrics

	inspected atomic.Pointer[inspection] // the last; nil before the first
}

// New checks the options and connects the parts. It starts nothing.
func New(o Options) (*Cache, error) {
	if o.Redis == nil {
		return nil, errors.New("cache: redis is required")
	}
	if o.Prefix == "" {
		o.Prefix = "spate"
	}
	metrics := NewMetrics(o.Registerer)
	ledger, err := NewLedger(LedgerOptions{
		Client: o.DynamoDB, Table: o.OutputsTable, Retention: o.Retention, WritesPerSecond: o.WritesPerSecond, Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	c := &Cache{
		View: NewView(o.Redis, o.Prefix), Ledger: ledger, records: o.Records, statuses: o.Statuses, check: o.Check, bucket: o.Bucket, log: o.Log, metrics: metrics,
	}
	c.Epochs = NewEpochs(o.Records, o.Log)
	c.Updater, err = NewUpdater(UpdaterOptions{
		Queue: o.Queue, Objects: o.Objects, Ledger: ledger, Parking: o.Records, Bucket: o.Bucket, Retention: o.Retention, Log: o.Log, Metrics: c.metrics,
	})
	if err != nil {
		return nil, err
	}
	c.Follower, err = NewFollower(FollowerOptions{
		View: c.View, Ledger: ledger, Streams: o.Streams, Records: o.Records, Epochs: c.Epochs, Log: o.Log, Metrics: c.metrics,
	})
	if err != nil {
		return nil, err
	}
	c.Refresher, err = NewRefresher(RefresherOptions{
		Objects: o.Objects, Ledger: ledger, Retention: o.Retention, ObjectsPerSecond: o.RefreshPerSecond, Log: o.Log, Metrics: c.metrics,
	})
	if err != nil {
		return nil, err
	}
	c.Reconciler, err = NewReconciler(ReconcilerOptions{
		View: c.View, Ledger: ledger, Epochs: c.Epochs, Follower: c.Follower, Updater: c.Updater, Objects: o.Objects,
		Retention: o.Retention, Log: o.Log, Metrics: c.metrics,
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Run keeps ledger and view up to date until ctx ends or one of the loops fails, and returns why when all have ended.
func (c *Cache) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	loops := map[string]func(context.Context) error{
		"updater": c.Updater.Run, "follower": c.Follower.Run, "reconciler": c.Reconciler.Run, "refresher": c.Refresher.Run,
	}
	if c.statuses != nil {
		loops["status"] = c.report
		if c.check != nil {
			loops["checks"] = c.inspect
		}
	}
	for name, run := range loops {
		group.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}
