package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"spate/examples/reinsurance/portfolio"
	"spate/planner"
)

// FiguresSummary is what the portfolio job of the last run computed. Amounts are in its currency.
type FiguresSummary struct {
	AAL         float64 `json:"aal"`         // average annual loss
	AALSE       float64 `json:"aal_se"`      // its standard error
	OEP250      float64 `json:"oep_250"`     // largest event loss of a year, return period 250 years
	AEP250      float64 `json:"aep_250"`     // loss of a year, return period 250 years
	AEPTVaR99   float64 `json:"aep_tvar_99"` // mean loss of the worst hundredth of the years
	Perspective string  `json:"perspective"`
	Currency    string  `json:"currency"`
	Periods     int     `json:"periods"`
}

// fetch downloads the last run's portfolio output, found through the results index, and reads the figures from it.
func (d *demo) fetch(ctx context.Context) error {
	dir := filepath.Join(d.Results, "portfolio")
	for result, err := range planner.ReadResults(ctx, d.objects, d.lastRun) {
		if err != nil {
			return err
		}
		if result.ID != portfolio.PortfolioJob {
			continue
		}
		if _, err := planner.Download(ctx, d.objects, result.Key, dir); err != nil {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, "portfolio.json"))
		if err != nil {
			return fmt.Errorf("read figures: %w", err)
		}
		if err := json.Unmarshal(data, &d.summary.Portfolio); err != nil {
			return fmt.Errorf("read figures: %w", err)
		}
		if d.summary.Results, err = filepath.Abs(dir); err != nil {
			return err
		}
		return nil
	}
	return fmt.Errorf("run %s has no job %q", d.lastRun, portfolio.PortfolioJob)
}
