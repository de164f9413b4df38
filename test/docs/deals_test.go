package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spate/controller"
	"spate/internal/config"
	"spate/planner"
)

// What docs/reinsurance-files.md says of deals that make no sense: the example's configuration refuses all of them, each in its
// place, before anything is submitted.
func TestDealsThatMakeNoSenseAreAllRefusedBeforeTheyAreSubmitted(t *testing.T) {
	cfg, err := config.Load(filepath.Join(root, "examples", "reinsurance", "spate.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := controller.Catalogue(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	deal := func(id, params, needs string) string {
		return `{"id":"` + id + `","task":"price-deal","params":{"attachment":100,"inuring_priority":1,"periods":250` + params + `},"needs":{` + needs + `}}`
	}
	const good = `,"limit":50,"share":1,"currency":"USD","market_share":0.1`
	jobs := []string{
		`{"id":"occurrences-x","task":"simulate-events"}`,
		deal("fine", good, `"occurrences-x":"occurrences-x"`),
		deal("own", `,"limit":50,"share":1,"currency":"USD","uncertainty":{"seed":1,"group":7}`, `"occurrences-x":"occurrences-x"`),
		deal("negative", `,"limit":-50,"share":1,"currency":"USD","market_share":0.1`, ""),
		deal("above-1", `,"limit":50,"share":1.01,"currency":"USD","market_share":1.5`, ""),
		deal("currency", `,"limit":50,"share":1,"currency":"dollars","market_share":0.1`, ""),
		deal("unknown", good+`,"limits":50`, ""),
		deal("unpaid", good+`,"reinstatement_rate":1,"reinstatements":1`, ""),
		deal("first", good, `"inuring-1-1":"second"`),
		deal("second", good, `"inuring-1-1":"first"`),
	}
	for name, content := range map[string]string{"run.yaml": "name: a\npool: rollup\njobs_from: jobs.jsonl\n", "jobs.jsonl": strings.Join(jobs, "\n") + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := planner.Prepare(filepath.Join(dir, "run.yaml"), catalogue)
	if err == nil {
		p.Close()
		t.Fatal("accepted")
	}
	want := []string{
		`jobs.jsonl:4:47: params of job "negative": /limit: minimum: got -50, want 1`,
		`jobs.jsonl:5:46: params of job "above-1": /market_share: maximum: got 1.5, want 1`,
		`jobs.jsonl:5:46: params of job "above-1": /share: maximum: got 1.01, want 1`,
		`jobs.jsonl:6:47: params of job "currency": /currency: 'dollars' does not match pattern '^[A-Z]{3}$'`,
		`jobs.jsonl:7:46: params of job "unknown": additional properties 'limits' not allowed`,
		`jobs.jsonl:8:45: params of job "unpaid": missing property 'premium'`,
		`jobs.jsonl:10:179: jobs wait for each other: first → second → first`,
	}
	got := strings.Split(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
