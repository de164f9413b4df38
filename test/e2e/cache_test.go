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
