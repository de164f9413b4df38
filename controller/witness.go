package controller

import (
	"errors"
	"fmt"

	"github.com/rs/zerolog"

	"spate/cache"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/table"
)

// Witnesses connects the cache's parts for people who want to know which of them says what. Whether Redis can be reached
// from here shows when it is asked. The caller calls release when done.
func Witnesses(cfg *config.Config, clients *awsclient.Clients) (w cache.Witnesses, release func(), err error) {
	client, err := cache.OpenRedis(cfg.Redis.URL, cfg.Redis.Cluster)
	if err != nil {
		return cache.Witnesses{}, nil, fmt.Errorf("redis.url: %w", err)
	}
	ledger, err := cache.NewLedger(cache.LedgerOptions{Client: clients.DynamoDB, Table: cfg.Tables.Outputs, Retention: cfg.Cache.Retention})
	if err != nil {
		return cache.Witnesses{}, nil, errors.Join(err, client.Close())
	}
	return cache.Witnesses{
		View: cache.NewView(client, RedisPrefix(cfg)), Epochs: cache.NewEpochs(cache.NewTableRecords(table.New(clients.DynamoDB, cfg.Tables.Runs)), zerolog.Nop()),
		Ledger: ledger, S3: objects.New(clients.S3, cfg.Bucket), Retention: cfg.Cache.Retention,
	}, func() { _ = client.Close() }, nil
}

// RedisPrefix is that of all keys in Redis: installations of different namespaces may share one.
func RedisPrefix(cfg *config.Config) string { return "spate:" + cfg.Namespace }
