package simulate

import (
	"time"

	"spate/scaler"
)

// Outcome is one simulated policy.
type Outcome struct {
	Figures
	Curve []Point
	// Held is how long each limit held the launcher back, until the last job was done.
	Held map[scaler.Limit]time.Duration
}

// Run simulates what Spate makes of a scenario.
func Run(s Scenario) (Outcome, error) { return simulate(s, &spate{}) }

func simulate(s Scenario, l launcher) (Outcome, error) {
	if err := s.Validate(); err != nil {
		return Outcome{}, err
	}
	w, err := newWorld(s)
	if err != nil {
		return Outcome{}, err
	}
	if err := w.run(l); err != nil {
		return Outcome{}, err
	}
	return Outcome{Figures: w.tally.f, Curve: w.tally.curve, Held: w.tally.held}, nil
}
