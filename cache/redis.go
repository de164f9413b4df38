package cache

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Timeouts of Redis calls: a view that cannot answer soon is no help, as the ledger can.
const (
	redisTimeout     = 5 * time.Second // of a read or a write
	redisDialTimeout = 2 * time.Second
)

// RedisCommands are what a user with limited rights needs, as ACL SETUSER takes them, on keys that begin with the view's
// prefix in braces (~{spate:default}:*). In a cluster it needs RedisClusterCommands as well. With RedisTellingCommands the
// view knows how large a set may be and stay compact, for which it otherwise takes Redis's default, how much memory it
// takes, and when the server was restarted.
const (
	RedisCommands        = "+get +set +mget +mset +sadd +srem +smismember +smembers +scard +unlink +watch +unwatch +multi +exec"
	RedisClusterCommands = "+cluster|slots +command"
	RedisTellingCommands = "+info +config|get +memory|usage"
)

// OpenRedis makes a client, for a single node or, with cluster, for Redis Cluster, which serverless offerings are too. It
// connects when it is first used. The URL is redis:// or, with TLS, rediss://user:password@host:port; a cluster's may name
// more nodes (?addr=host:port&addr=…).
func OpenRedis(address string, cluster bool) (redis.UniversalClient, error) {
	if cluster {
		options, err := redis.ParseClusterURL(address)
		if err != nil {
			return nil, badURL(err)
		}
		options.ReadTimeout, options.WriteTimeout, options.DialTimeout = redisTimeout, redisTimeout, redisDialTimeout
		options.DisableIdentity, options.MaintNotificationsConfig = true, noNotifications()
		return redis.NewClusterClient(options), nil
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, badURL(err)
	}
	options.ReadTimeout, options.WriteTimeout, options.DialTimeout = redisTimeout, redisTimeout, redisDialTimeout
	options.DisableIdentity, options.MaintNotificationsConfig = true, noNotifications()
	return redis.NewClient(options), nil
}

// noNotifications spares each connection a command that few servers know and limited users may not send.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// badURL does not repeat the URL, which may hold a password.
func badURL(err error) error {
	if parsing, ok := errors.AsType[*url.Error](err); ok {
		err = parsing.Err
	}
	return fmt.Errorf("parse URL of Redis: %w", err)
}
