package cache

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"spate/job"
)

// redisServer is a redis-server process that a test may stop and start again.
type redisServer struct {
	t       testing.TB
	address string
	args    []string
	process *exec.Cmd
}

// realRedis starts a redis-server with options of its own beside the usual ones; a test that needs one is skipped
// where there is none.
func realRedis(t testing.TB, options ...string) *redisServer {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("SKIPPED: no redis-server on PATH")
	}
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	r := &redisServer{t: t, address: address}
	r.args = append([]string{program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir()}, options...)
	t.Cleanup(r.stop)
	r.start()
	return r
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (r *redisServer) start() {
	r.t.Helper()
	r.process = exec.Command(r.args[0], r.args[1:]...)
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: r.address})
	defer client.Close()
	eventually(r.t, "redis-server answers", func() bool { return client.Ping(r.t.Context()).Err() == nil })
}

func (r *redisServer) stop() {
	if r.process != nil {
		_ = r.process.Process.Kill()
		_ = r.process.Wait()
		r.process = nil
	}
}

// client is connected with the options that tests use.
func (r *redisServer) client() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: r.address, MaxRetries: -1, DisableIdentity: true})
	r.t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestARestartedRedisIsCountedAndResumedOnlyWhenItHoldsEverything(t *testing.T) {
	for name, lost := range map[string]bool{"whole": false, "without a bucket": true} {
		t.Run(name, func(t *testing.T) {
			server := realRedis(t)
			h := newHouseOn(t, server.client())
			h.put(testKeys(0, 50)...)
			h.settle()
			before, told := h.liveEpoch(), h.View.Status()
			if told.RunID == "" || told.Outputs != 50 || told.Epoch != before || told.BucketBits != h.session.live.bits || told.RedisVersion == "" {
				t.Fatalf("status is %+v", told)
			}
			if lost { // as from a damaged snapshot: the sequence is there
				bucket := h.View.bucketKey(before, h.session.live.bits.bucket(testKey(7)))
				if err := h.redis.Del(t.Context(), bucket).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.redis.Save(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			server.stop()
			server.start()
			_ = h.follow() // finds its connections closed
			h.settle()
			if (h.liveEpoch() != before) != lost {
				t.Errorf("epoch %d is live, it was %d", h.liveEpoch(), before)
			}
			if now := h.View.Status(); now.RunID == told.RunID || now.Counted.IsZero() && !lost {
				t.Errorf("status is %+v, before it was %+v", now, told)
			}
			all(t, h.view(testKeys(0, 50)...), job.Hit)
		})
	}
}

// infoHook changes what Redis tells of itself.
type infoHook struct{ change func(string) string }

func (infoHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (infoHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (i infoHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if info, ok := cmd.(*redis.StringCmd); ok && strings.EqualFold(cmd.Name(), "info") {
			info.SetErr(nil)
			info.SetVal(i.change(info.Val()))
			return nil
		}
		return err
	}
}

func TestAnEpochOfWhichRedisDroppedABucketIsRetiredWithinSeconds(t *testing.T) {
	h := newHouse(t)
	evicted := "3"
	h.redis.AddHook(infoHook{func(string) string { return "run_id:abc\r\nredis_version:7.0.0\r\nevicted_keys:" + evicted + "\r\n" }})
	h.put(testKeys(0, 50)...)
	h.settle()
	before := h.liveEpoch()
	if err := h.redis.Del(t.Context(), h.View.bucketKey(before, h.session.live.bits.bucket(testKey(7)))).Err(); err != nil {
		t.Fatal(err)
	}
	h.settle()
	all(t, h.view(testKey(7)), job.Miss) // nothing shows it
	if h.liveEpoch() != before {
		t.Fatal("the epoch was retired without a reason")
	}
	evicted = "4"
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the epoch that lacks a bucket is live")
	}
	all(t, h.view(testKeys(0, 50)...), job.Hit)
}

func TestANewFollowerCountsWhatTheLastOneLeft(t *testing.T) {
	h := newHouse(t)
	h.put(testKeys(0, 50)...)
	h.settle()
	before := h.liveEpoch()
	h.leave()
	h.settle()
	if h.liveEpoch() != before {
		t.Fatal("a whole epoch was not resumed")
	}
	bucket := h.View.bucketKey(before, h.session.live.bits.bucket(testKey(7)))
	h.leave()
	if err := h.redis.Del(t.Context(), bucket).Err(); err != nil {
		t.Fatal(err)
	}
	h.settle()
	if h.liveEpoch() == before {
		t.Fatal("the epoch that lacks a bucket was resumed")
	}
	all(t, h.view(testKeys(0, 50)...), job.Hit)
}

func TestWhatAServerTells(t *testing.T) {
	got := parseServer("# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\nrun_id:abc\r\n" +
		"# Memory\r\nused_memory:1000\r\nmaxmemory:2000\r\nmaxmemory_policy:noeviction\r\n# Stats\r\nevicted_keys:7\r\n")
	want := Server{Version: "valkey 8.0.1", RunID: "abc", Evicted: 7, Used: 1000, Max: 2000, Eviction: "noeviction"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := parseServer("# Clients\r\nconnected_clients:1\r\n"); got != (Server{}) {
		t.Errorf("a server that tells nothing tells %+v", got)
	}
}

// TestTheCompactEncodingEndsWhereTheServerSays checks the limit against what Redis does.
func TestTheCompactEncodingEndsWhereTheServerSays(t *testing.T) {
	client := realRedis(t, "--set-max-intset-entries", "300").client()
	view := NewView(client, "spate")
	if got := view.intsetLimit(t.Context()); got != 300 {
		t.Fatalf("limit is %d, want 300", got)
	}
	for n := range 301 {
		if err := client.SAdd(t.Context(), "set", n).Err(); err != nil {
			t.Fatal(err)
		}
		encoding, err := client.ObjectEncoding(t.Context(), "set").Result()
		if err != nil || (encoding == "intset") != (n < 300) {
			t.Fatalf("a set of %d has encoding %s, error %v", n+1, encoding, err)
		}
	}
	keys := testKeys(0, 2000)
	writer, err := view.Create(t.Context(), 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Apply(t.Context(), keys, nil); err != nil {
		t.Fatal(err)
	}
	if n := view.weigh(t.Context(), 1, 16); n <= 0 || n > 1_000_000 {
		t.Errorf("2000 outputs take %d bytes", n)
	}
}

func TestRedisMayTellNothingOfItself(t *testing.T) {
	client := openRedis(t)
	client.AddHook(infoHook{func(string) string { return "" }})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if server, err := NewView(client, "spate").Server(ctx); err != nil || server != (Server{}) {
		t.Errorf("server %+v, error %v", server, err)
	}
}
