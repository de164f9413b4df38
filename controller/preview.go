package controller

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"spate/cache"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// previewReads is how many ledger items a preview reads a second beyond the first 10,000: less than half of what a new
// on-demand table serves (12,000 reads a second, Amazon DynamoDB developer guide), as a controller may be reading, too.
const (
	previewReads = 5000
	previewBurst = 10_000
)

// PreviewOptions connects a preview with the services of a configuration. The ledger says which outputs exist: Redis,
// which holds the view, is out of reach from most desks.
func PreviewOptions(cfg *config.Config, clients *awsclient.Clients) (planner.PreviewOptions, error) {
	catalogue, err := Catalogue(cfg)
	if err != nil {
		return planner.PreviewOptions{}, err
	}
	ledger, err := cache.NewLedger(cache.LedgerOptions{Client: clients.DynamoDB, Table: cfg.Tables.Outputs})
	if err != nil {
		return planner.PreviewOptions{}, err
	}
	pools := make([]planner.Pool, len(cfg.Pools))
	for i, p := range cfg.Pools {
		pools[i] = plannerPool(p)
	}
	return planner.PreviewOptions{
		Objects: objects.New(clients.S3, cfg.Bucket), Images: images{clients.ECS}, Pools: pools, Catalogue: catalogue, Namespace: cfg.Namespace,
		Outputs: pacedLedger{ledger, rate.NewLimiter(previewReads, previewBurst)},
	}, nil
}

// pacedLedger asks the ledger no faster than its limiter lets it.
type pacedLedger struct {
	ledger  *cache.Ledger
	limiter *rate.Limiter
}

// Lookup answers for each key, in order. Keys that could not be asked for are unknown; the error is the first reason.
func (p pacedLedger) Lookup(ctx context.Context, now time.Time, keys []job.Key) ([]job.Presence, error) {
	if err := p.limiter.WaitN(ctx, len(keys)); err != nil {
		return make([]job.Presence, len(keys)), err
	}
	return p.ledger.Lookup(ctx, now, keys)
}
