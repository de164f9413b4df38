package reinsurance_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/portfolio"
)

var update = flag.Bool("update", false, "rewrite docs/reinsurance.svg and the figures in docs/reinsurance.md")

const (
	guide     = "../../docs/reinsurance.md"
	readme    = "../../README.md"
	picture   = "../../docs/reinsurance.svg"
	tableHead = "| USD millions | average annual loss | reinstatement premium a year | OEP 250 | AEP 250 | TVaR 99 % |\n|---|---|---|---|---|---|\n"
)

// figures formats the guide's table.
func figures(p model.Portfolio) string {
	var b strings.Builder
	b.WriteString(tableHead)
	at250 := func(points []model.Point) int64 {
		for _, point := range points {
			if point.ReturnPeriod == 250 {
				return point.Loss
			}
		}
		return 0
	}
	for _, row := range []struct {
		name string
		view model.Perspective
	}{{"gross", p.Gross}, {"ceded", p.Ceded}, {"net", p.Net}} {
		const million = 1e6
		v := row.view
		fmt.Fprintf(&b, "| %s | %.0f ± %.0f | %.0f | %.0f | %.0f | %.0f ± %.0f |\n", row.name, v.AAL/million, v.AALSE/million,
			v.ReinstatementPremium/million, float64(at250(v.OEP))/million, float64(at250(v.AEP))/million, v.AEPTVaR/million, v.AEPTVaRSE/million)
	}
	return b.String()
}

func TestTheGuideShowsThePortfolioOfTheDemo(t *testing.T) {
	const (
		jobs, seed = 400, 1
		changed    = 0.03 // of the deals, in the demo's last run, whose figures it prints
	)
	p, err := portfolio.Generate(portfolio.Options{Deals: portfolio.ForJobs(jobs), Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	p, _ = p.Change(changed, seed)
	root := t.TempDir()
	runAll(t, jobLines(t, p), root, nil)
	var computed model.Portfolio
	if err := json.Unmarshal(read(t, root, portfolio.PortfolioJob, "out", model.PortfolioJSON), &computed); err != nil {
		t.Fatal(err)
	}
	drawn := read(t, root, portfolio.PortfolioJob, "out", model.PortfolioSVG)
	text := string(read(t, guide))
	before, rest, found := strings.Cut(text, tableHead)
	if !found {
		t.Fatalf("%s has no table of figures", guide)
	}
	_, after, _ := strings.Cut(rest, "\n\n")
	want := before + figures(computed) + "\n" + after
	if *update {
		for file, content := range map[string][]byte{picture: drawn, guide: []byte(want)} {
			if err := os.WriteFile(filepath.FromSlash(file), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if text != want {
		t.Errorf("%s shows other figures than\n%srun the test with -update", guide, figures(computed))
	}
	const million = 1e6
	printed := fmt.Sprintf("%.1f  ± %.1f\n", computed.Net.AAL/million, computed.Net.AALSE/million)
	if !strings.Contains(string(read(t, readme)), printed) {
		t.Errorf("%s does not show the demo's average annual loss, %s", readme, printed)
	}
	if !bytes.Equal(read(t, picture), drawn) {
		t.Errorf("%s is another picture: run the test with -update", picture)
	}
}
