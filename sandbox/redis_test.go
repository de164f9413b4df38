package sandbox_test

import (
	"errors"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"spate/sandbox"
)

// eachRedis runs a test against the embedded Redis, and against a real one where there is one.
func eachRedis(t *testing.T, test func(t *testing.T, r *running, cache *redis.Client)) {
	for name, program := range map[string]string{"embedded": "", "redis-server": "redis-server"} {
		t.Run(name, func(t *testing.T) {
			if program != "" {
				path, err := exec.LookPath(program)
				if err != nil {
					t.Skip("redis-server is not on PATH")
				}
				program = path
			}
			r := start(t, sandbox.Options{RedisServer: program})
			options, err := redis.ParseURL(r.RedisURL())
			if err != nil {
				t.Fatal(err)
			}
			options.ReadTimeout, options.MaxRetries, options.DisableIdentity = 200*time.Millisecond, -1, true
			cache := redis.NewClient(options)
			t.Cleanup(func() {
				if err := cache.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, r, cache)
		})
	}
}

func (r *running) redis(t *testing.T, do string) {
	t.Helper()
	if status, text := r.ask(t, http.MethodPost, "/_sandbox/redis?do="+do, ""); status != http.StatusNoContent {
		t.Fatalf("%s: %d %s", do, status, text)
	}
}

func TestARedisFailsOverToAnOldSnapshotAndToNothing(t *testing.T) {
	eachRedis(t, func(t *testing.T, r *running, cache *redis.Client) {
		ctx := t.Context()
		fill := cache.Pipeline()
		fill.Set(ctx, "string", "a", time.Hour)
		fill.SAdd(ctx, "set", 3, 1, 2)
		fill.HSet(ctx, "hash", "f", "v")
		fill.RPush(ctx, "list", "x", "y")
		fill.ZAdd(ctx, "zset", redis.Z{Score: 1.5, Member: "m"})
		if _, err := fill.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		r.redis(t, "save")
		if err := cache.Set(ctx, "string", "later", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := cache.SAdd(ctx, "set", 4).Err(); err != nil {
			t.Fatal(err)
		}
		r.redis(t, "restore")
		// The connections were cut: the first call may find its one gone.
		_ = cache.Ping(ctx).Err()
		members, err := cache.SMembers(ctx, "set").Result()
		if diff := cmp.Diff([]string{"1", "2", "3"}, members, cmpopts.SortSlices(func(a, b string) bool { return a < b })); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		text, list, hash := cache.Get(ctx, "string").Val(), cache.LRange(ctx, "list", 0, -1).Val(), cache.HGet(ctx, "hash", "f").Val()
		left, score := cache.TTL(ctx, "string").Val(), cache.ZScore(ctx, "zset", "m").Val()
		if text != "a" || len(list) != 2 || hash != "v" || left < 59*time.Minute || score != 1.5 {
			t.Errorf("%q %v %q %s %v", text, list, hash, left, score)
		}
		r.redis(t, "flush")
		_ = cache.Ping(ctx).Err()
		if n, err := cache.DBSize(ctx).Result(); err != nil || n != 0 {
			t.Errorf("%d keys, %v", n, err)
		}
	})
}

func TestARedisThatHangsTimesOutAndAnswersAgain(t *testing.T) {
	eachRedis(t, func(t *testing.T, r *running, cache *redis.Client) {
		if err := cache.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		r.redis(t, "hang&for=600ms")
		var timeout interface{ Timeout() bool }
		if err := cache.Ping(t.Context()).Err(); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("want a time-out, got %v", err)
		}
		for deadline := time.Now().Add(10 * time.Second); cache.Ping(t.Context()).Err() != nil; {
			if time.Now().After(deadline) {
				t.Fatal("it does not answer again")
			}
		}
	})
}

func TestAWrongRequestToTheRedisIsRefused(t *testing.T) {
	r := start(t, sandbox.Options{})
	for _, do := range []string{"explode", "hang", "hang&for=soon", "restore"} {
		if status, text := r.ask(t, http.MethodPost, "/_sandbox/redis?do="+do, ""); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", do, status, text)
		}
	}
}

func TestARedisServerThatIsNoneIsRefused(t *testing.T) {
	box, err := sandbox.New(sandbox.Options{RedisServer: "/bin/false"})
	if err == nil {
		t.Fatal("it was taken")
	}
	if box != nil {
		t.Error("there is a sandbox")
	}
}
