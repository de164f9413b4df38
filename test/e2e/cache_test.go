package e2e

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/redis/go-redis/v9"

	"spate/internal/objects"
	"spate/job"
)

// metrics reads a controller's metrics.
func metrics(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

// A controller that has just started remembers nothing: what it skips, it knows from the cache, and it must not even
// send the jobs to the queue.
func TestANewControllerSkipsEveryJobByTheCacheAlone(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	first := in.serve(t)
	l := newLayers("skipped", 3, 6)
	runFile := in.write(t, "run.yaml", l.runFile)
	in.mustSucceed(t, runFile)

	client := in.clients.DynamoDB
	eventually(t, "every output is in the ledger", func() bool {
		out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(outputsTable), ConsistentRead: aws.Bool(true)})
		return err == nil && int(out.Count) == len(l.want)
	})
	first.stop(t)

	address := "127.0.0.1:" + freePort(t)
	in.serveWith(t, "SPATE_HTTP_LISTEN", address)
	eventually(t, "the view has a live epoch", func() bool {
		text := metrics(t, address)
		return strings.Contains(text, "spate_cache_live_epoch") && !strings.Contains(text, "spate_cache_live_epoch 0")
	})
	// The view may be a moment behind the ledger; what it does not know yet is no failure of the cache.
	eventually(t, "the view answers for every job of a run", func() bool {
		before := metrics(t, address)
		v := in.mustSucceed(t, runFile)
		if v.Progress.Cached != len(l.want) || v.Progress.Reused != 0 || v.Progress.Executed != 0 {
			return false
		}
		return hits(t, metrics(t, address), "view") >= hits(t, before, "view")+len(l.want)
	})
}

func TestWithAnEmptyRedisTheLedgerSkipsEveryJob(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	first := in.serve(t)
	l := newLayers("ledger", 2, 5)
	runFile := in.write(t, "run.yaml", l.runFile)
	in.mustSucceed(t, runFile)
	client := in.clients.DynamoDB
	eventually(t, "every output is in the ledger", func() bool {
		out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(outputsTable), ConsistentRead: aws.Bool(true)})
		return err == nil && int(out.Count) == len(l.want)
	})
	first.stop(t)

	address := "127.0.0.1:" + freePort(t)
	env := slices.Clone(in.env)
	in.setVariable("SPATE_REDIS_URL", "redis://127.0.0.1:1") // where nothing listens
	in.serveWith(t, "SPATE_HTTP_LISTEN", address)
	in.env = env
	v := in.mustSucceed(t, runFile)
	if v.Progress.Cached != len(l.want) || v.Progress.Reused != 0 {
		t.Errorf("progress %+v, want all %d jobs cached", v.Progress, len(l.want))
	}
	if n := hits(t, metrics(t, address), "ledger"); n < len(l.want) {
		t.Errorf("the ledger has told of %d hits, want %d", n, len(l.want))
	}
}

// hits reads from metrics how many look-ups a part of the cache answered with a hit.
func hits(t *testing.T, text, source string) int {
	t.Helper()
	prefix := `spate_cache_lookups_total{answer="hit",source="` + source + `"} `
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, prefix); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatalf("metric %q: %v", line, err)
			}
			return int(n)
		}
	}
	return 0
}

// checkCacheAgrees waits until view, ledger and S3 say the same of so many outputs.
func (in *installation) checkCacheAgrees(t *testing.T, outputs int) {
	t.Helper()
	eventually(t, "view, ledger and S3 agree", func() bool {
		r := in.spate(t, "cache", "verify", "--all", "--output", "json")
		var told struct {
			Outputs   int64            `json:"outputs"`
			ViewAsked bool             `json:"view_asked"`
			Counts    map[string]int64 `json:"counts"`
		}
		if r.stdout == "" {
			return false
		}
		decode(t, r.stdout, &told)
		return r.code == 0 && told.ViewAsked && len(told.Counts) == 0 && told.Outputs == int64(outputs)
	})
}

// A controller dies by SIGKILL right before and right after a notification's way into the ledger, the same for the view,
// and twice while it builds the view anew. Nothing of that is left afterwards: no wrong hit, no output that is not found.
func TestTheCacheSurvivesAControllerKilledWhileItUpdatesAndWhileItRebuilds(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	g := newGate(t, in.variable("AWS_ENDPOINT_URL"))
	jobs := newLayers("killed", 4, 4)
	file := in.write(t, "run.yaml", jobs.runFile)
	run := in.submit(t, file)
	of := func(operation string, texts ...string) func(*call, string) bool {
		return func(c *call, _ string) bool {
			return c.Operation == operation && !slices.ContainsFunc(texts, func(text string) bool { return !c.Has(text) })
		}
	}
	in.dieAt(t, g, run, []step{
		{"an output is in the ledger", of("DynamoDB.BatchWriteItem", outputsTable)},
		{"a notification is deleted", of("SQS.DeleteMessageBatch", outputsQueue+`"`)},
		{"the view's place in the stream is written", of("DynamoDB.PutItem", `"SHARD#`)},
	})
	p := in.serveThrough(t, g)
	in.checkRun(t, run, jobs.want)
	in.checkCacheAgrees(t, len(jobs.want))
	p.stop(t)

	in.emptyRedis(t) // so that the next controller builds the view anew
	in.dieAt(t, g, run, []step{{"the ledger is scanned", of("DynamoDB.Scan", outputsTable)}})
	in.serve(t)
	in.checkCacheAgrees(t, len(jobs.want))
	in.checkNothingToDo(t, file, len(jobs.want))
}

// Redis fails over, beneath a controller that goes on, to a copy from before the second run's outputs and before one of the
// first run's was deleted by hand. How old the copy is makes no difference; ten minutes of it take too long here.
func TestAFailoverToAnOldSnapshotOfRedisGivesNoWrongHitAndLosesNone(t *testing.T) {
	t.Parallel()
	in := install(t, setup{tasks: nesting})
	in.serve(t)
	first, second := newLayers("before", 2, 4), newLayers("after", 2, 4)
	file := in.write(t, "first.yaml", first.runFile)
	run := in.mustSucceed(t, file)
	in.checkCacheAgrees(t, len(first.want))
	old := in.snapshotRedis(t)

	other := in.write(t, "second.yaml", second.runFile)
	in.mustSucceed(t, other)
	gone := in.results(t, run.ID)["before-1-0"].Key
	if err := in.objects.Delete(t.Context(), job.ManifestPath(gone), objects.Condition{}); err != nil {
		t.Fatal(err)
	}
	in.checkCacheAgrees(t, len(first.want)+len(second.want)-1)
	old.restore(t, in.redis)

	in.checkNothingToDo(t, other, len(second.want))
	again := in.mustSucceed(t, file)
	if p := again.Progress; p.Executed != 1 || p.Cached+p.Reused != len(first.want)-1 {
		t.Errorf("progress %+v, want one job executed, whose output was deleted", p)
	}
	in.checkCacheAgrees(t, len(first.want)+len(second.want))
}

// redisSnapshot is all that a Redis holds.
type redisSnapshot struct {
	strings map[string]string
	sets    map[string][]string
}

func (in *installation) snapshotRedis(t *testing.T) redisSnapshot {
	t.Helper()
	s := redisSnapshot{map[string]string{}, map[string][]string{}}
	for keys := in.redis.Scan(t.Context(), 0, "*", 1000).Iterator(); keys.Next(t.Context()); {
		switch kind := in.redis.Type(t.Context(), keys.Val()).Val(); kind {
		case "string":
			s.strings[keys.Val()] = in.redis.Get(t.Context(), keys.Val()).Val()
		case "set":
			s.sets[keys.Val()] = in.redis.SMembers(t.Context(), keys.Val()).Val()
		default:
			t.Fatalf("%s is a %s", keys.Val(), kind)
		}
	}
	if len(s.strings) == 0 || len(s.sets) == 0 {
		t.Fatalf("the snapshot has %d strings and %d sets", len(s.strings), len(s.sets))
	}
	return s
}

// restore puts it back in one transaction, in the place of all there is.
func (s redisSnapshot) restore(t *testing.T, client *redis.Client) {
	t.Helper()
	_, err := client.TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.FlushAll(t.Context())
		for k, v := range s.strings {
			pipe.Set(t.Context(), k, v, 0)
		}
		for k, members := range s.sets {
			pipe.SAdd(t.Context(), k, members)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
