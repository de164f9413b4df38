package contract

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	redisSets         = "Redis commands, SADD, SREM and SMISMEMBER"
	redisTransactions = "Redis documentation, transactions"
)

func redisFacts() []Fact {
	return []Fact{
		{Name: "many-members", Sentence: "SMISMEMBER answers many members in the order asked", Source: redisSets, check: manyMembers},
		{Name: "members-of-nothing", Sentence: "SMISMEMBER of an absent key finds no member", Source: redisSets, check: membersOfNothing},
		{Name: "large-members", Sentence: "Members may be any signed 64-bit integers", Source: redisSets, check: largeMembers},
		{Name: "add-again", Sentence: "SADD says how many members are new", Source: redisSets, check: addAgain},
		{Name: "empty-set-is-gone", Sentence: "A set that loses its last member is no key any more", Source: redisSets, check: emptySetIsGone},
		{Name: "pipeline-in-order", Sentence: "Answers of a pipeline come in the order of its commands", Source: "Redis documentation, pipelining", check: pipelineInOrder},
		{Name: "transaction", Sentence: "A transaction does all of its commands", Source: redisTransactions, check: transaction},
		{Name: "watch", Sentence: "A transaction on a watched key that another changed does nothing", Source: redisTransactions, check: watch},
		{Name: "set-if-there", Sentence: "SET with XX changes a key that is there, and makes none", Source: "Redis commands, SET", check: setIfThere},
		{Name: "scan", Sentence: "SCAN with a pattern gives all keys that were there throughout", Source: "Redis commands, SCAN", check: scan},
		{Name: "unlink", Sentence: "UNLINK takes keys away and says how many", Source: "Redis commands, UNLINK", check: unlink},
		{Name: "flush", Sentence: "FLUSHALL leaves nothing", Source: "Redis commands, FLUSHALL", Alone: true, check: flush},
		{Name: "eviction-policy", Sentence: "INFO memory tells the eviction policy", Source: "Redis commands, INFO", check: evictionPolicy},
		{Name: "expiry", Sentence: "A key with an expiry is gone after it", Source: "Redis commands, EXPIRE", check: expiry},
		{Name: "wrong-type", Sentence: "A command for another type of key is WRONGTYPE", Source: "Redis serialization protocol, simple errors", check: wrongType},
		{Name: "unknown-command", Sentence: "An unknown command is an error, and the connection goes on", Source: "Redis serialization protocol, simple errors", check: unknownCommand},
	}
}

// store is a client, and a prefix of its own.
type store struct {
	*probe
	*redis.Client
	prefix string
}

func (p *probe) redis() *store {
	options := &redis.Options{Addr: "127.0.0.1:6379"} // no name, which would have to be looked up
	if p.target.DialRedis == nil {
		options = must(redis.ParseURL(p.target.Redis))
	} else {
		options.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { return p.target.DialRedis(ctx) }
	}
	client := redis.NewClient(options)
	p.after(func() { _ = client.Close() })
	return &store{probe: p, Client: client, prefix: p.name("{contract}")}
}

func (s *store) key(name string) string { return s.prefix + ":" + name }

func manyMembers(p *probe) {
	s := p.redis()
	must(s.SAdd(p.ctx, s.key("set"), 3, 1, 4).Result())
	found := must(s.SMIsMember(p.ctx, s.key("set"), 1, 2, 3, 4, 5).Result())
	require(slices.Equal(found, []bool{true, false, true, true, false}), "found %v", found)
}

func membersOfNothing(p *probe) {
	s := p.redis()
	found := must(s.SMIsMember(p.ctx, s.key("none"), 1, 2).Result())
	require(slices.Equal(found, []bool{false, false}), "found %v", found)
}

func largeMembers(p *probe) {
	s := p.redis()
	must(s.SAdd(p.ctx, s.key("set"), int64(-1)<<63, int64(1)<<62).Result())
	found := must(s.SMIsMember(p.ctx, s.key("set"), int64(-1)<<63, int64(1)<<62, int64(1)<<62+1).Result())
	require(slices.Equal(found, []bool{true, true, false}), "found %v", found)
}

func addAgain(p *probe) {
	s := p.redis()
	first, second := must(s.SAdd(p.ctx, s.key("set"), 1, 2).Result()), must(s.SAdd(p.ctx, s.key("set"), 2, 3).Result())
	require(first == 2 && second == 1, "new: %d, then %d", first, second)
}

func emptySetIsGone(p *probe) {
	s := p.redis()
	must(s.SAdd(p.ctx, s.key("set"), 1).Result())
	removed := must(s.SRem(p.ctx, s.key("set"), 1, 2).Result())
	require(removed == 1 && must(s.Exists(p.ctx, s.key("set")).Result()) == 0, "removed %d, and the key is there", removed)
}

func pipelineInOrder(p *probe) {
	s := p.redis()
	pipe := s.Pipeline()
	var sets []*redis.IntCmd
	for i := range 100 {
		sets = append(sets, pipe.IncrBy(p.ctx, s.key("n"), int64(i)))
	}
	must(pipe.Exec(p.ctx))
	sum := int64(0)
	for i, c := range sets {
		sum += int64(i)
		require(c.Val() == sum, "answer %d is %d, want %d", i, c.Val(), sum)
	}
}

func transaction(p *probe) {
	s := p.redis()
	must(s.TxPipelined(p.ctx, func(pipe redis.Pipeliner) error {
		pipe.SAdd(p.ctx, s.key("set"), 1)
		pipe.Set(p.ctx, s.key("n"), 1, 0)
		return nil
	}))
	require(must(s.Exists(p.ctx, s.key("set"), s.key("n")).Result()) == 2, "not both are there")
}

func watch(p *probe) {
	s := p.redis()
	other := p.redis()
	must(s.Set(p.ctx, s.key("n"), 1, 0).Result())
	err := s.Watch(p.ctx, func(tx *redis.Tx) error {
		must(other.Set(p.ctx, s.key("n"), 2, 0).Result())
		_, err := tx.TxPipelined(p.ctx, func(pipe redis.Pipeliner) error {
			pipe.Set(p.ctx, s.key("n"), 3, 0)
			return nil
		})
		return err
	}, s.key("n"))
	require(errors.Is(err, redis.TxFailedErr), "got %v", err)
	require(must(s.Get(p.ctx, s.key("n")).Result()) == "2", "the transaction was done")
}

func setIfThere(p *probe) {
	s := p.redis()
	err := s.SetArgs(p.ctx, s.key("n"), 1, redis.SetArgs{Mode: "XX"}).Err()
	require(errors.Is(err, redis.Nil), "got %v", err)
	must(s.Set(p.ctx, s.key("n"), 1, 0).Result())
	must(s.SetArgs(p.ctx, s.key("n"), 2, redis.SetArgs{Mode: "XX"}).Result())
	require(must(s.Get(p.ctx, s.key("n")).Result()) == "2", "it was not changed")
}

func scan(p *probe) {
	s := p.redis()
	var want []string
	for i := range 300 {
		key := s.key(strconv.Itoa(i))
		must(s.Set(p.ctx, key, 1, 0).Result())
		want = append(want, key)
	}
	got := map[string]bool{}
	for all := s.Scan(p.ctx, 0, s.prefix+":*", 50).Iterator(); all.Next(p.ctx); {
		got[all.Val()] = true
	}
	for _, key := range want {
		require(got[key], "%s is missing", key)
	}
	require(len(got) == len(want), "%d keys, want %d", len(got), len(want))
}

func unlink(p *probe) {
	s := p.redis()
	must(s.Set(p.ctx, s.key("a"), 1, 0).Result())
	gone := must(s.Unlink(p.ctx, s.key("a"), s.key("none")).Result())
	require(gone == 1 && must(s.Exists(p.ctx, s.key("a")).Result()) == 0, "unlinked %d", gone)
}

func flush(p *probe) {
	s := p.redis()
	must(s.Set(p.ctx, s.key("a"), 1, 0).Result())
	must(s.FlushAll(p.ctx).Result())
	require(must(s.DBSize(p.ctx).Result()) == 0, "there are keys")
}

func evictionPolicy(p *probe) {
	info := must(p.redis().Info(p.ctx, "memory").Result())
	require(strings.Contains(info, "maxmemory_policy:"), "INFO memory is %s", info)
}

func expiry(p *probe) {
	s := p.redis()
	must(s.Set(p.ctx, s.key("a"), 1, time.Second).Result())
	p.eventually("the key is gone", func() bool { return must(s.Exists(p.ctx, s.key("a")).Result()) == 0 })
}

func wrongType(p *probe) {
	s := p.redis()
	must(s.Set(p.ctx, s.key("a"), "text", 0).Result())
	err := s.SMIsMember(p.ctx, s.key("a"), 1).Err()
	require(err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"), "got %v", err)
}

func unknownCommand(p *probe) {
	s := p.redis()
	err := s.Do(p.ctx, "JUGGLE", 3).Err()
	require(err != nil && strings.Contains(err.Error(), "unknown command"), "got %v", err)
	require(must(s.Ping(p.ctx).Result()) == "PONG", "the connection is broken")
}
