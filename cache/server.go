package cache

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// node is the client of the one server that holds the view: of a cluster, the node of the view's slot.
func (v *View) node(ctx context.Context) (redis.Cmdable, error) {
	cluster, ok := v.client.(*redis.ClusterClient)
	if !ok {
		return v.client, nil
	}
	node, err := cluster.MasterForKey(ctx, v.sequenceKey(0))
	if err != nil {
		return nil, fmt.Errorf("find the view's node: %w", err)
	}
	return node, nil
}

// intsetLimit is how many integers a set may have and stay compact: set-max-intset-entries, or its default where the
// server does not tell, as managed ones do not. More than most would make each change of a bucket move too much memory.
func (v *View) intsetLimit(ctx context.Context) int {
	const name, most = "set-max-intset-entries", 4096
	node, err := v.node(ctx)
	if err != nil {
		return defaultIntsetLimit
	}
	told, err := node.ConfigGet(ctx, name).Result()
	if err != nil {
		return defaultIntsetLimit
	}
	limit, err := strconv.Atoi(told[name])
	if err != nil || limit <= 0 {
		return defaultIntsetLimit
	}
	return min(limit, most)
}

// bitsFor chooses the bucket bits of an epoch for so many outputs.
func (v *View) bitsFor(ctx context.Context, expected int64) BucketBits {
	return bitsFor(expected, v.intsetLimit(ctx))
}

// Server is what the Redis that holds the view tells of itself. What it does not tell is left out.
type Server struct {
	Version  string // with "valkey " before it where it is one
	RunID    string // another with each start, and on another node
	Evicted  int64  // keys dropped for want of memory since it started
	Used     int64  // bytes of memory
	Max      int64  // bytes of memory allowed; 0: no limit
	System   int64  // bytes of memory that its machine has
	Eviction string // the maxmemory policy
}

// Server reads INFO, because managed offerings forbid CONFIG.
func (v *View) Server(ctx context.Context) (Server, error) {
	node, err := v.node(ctx)
	if err != nil {
		return Server{}, err
	}
	info, err := node.Info(ctx).Result()
	if err != nil {
		return Server{}, fmt.Errorf("read INFO: %w", err)
	}
	return parseServer(info), nil
}

func parseServer(info string) Server {
	told := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			told[name] = value
		}
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(told[name], 10, 64)
		return n
	}
	s := Server{
		Version: told["redis_version"], RunID: told["run_id"], Evicted: number("evicted_keys"),
		Used: number("used_memory"), Max: number("maxmemory"), System: number("total_system_memory"), Eviction: told["maxmemory_policy"],
	}
	if told["valkey_version"] != "" {
		s.Version = "valkey " + told["valkey_version"]
	}
	return s
}
