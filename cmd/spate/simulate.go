package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"spate/internal/config"
	"spate/internal/price"
	"spate/internal/simulate"
	"spate/planner"
	"spate/scaler"
)

type simulateCommand struct {
	configFlag
	outputFlag
	Workers *int   `help:"The pool's maximum of workers (default 3000, or the pool's)." placeholder:"N"`
	Jobs    *int   `help:"Jobs, all there at once (default 20 for each slot)." placeholder:"N"`
	JobTime string `help:"How long a job takes: 60s, 30s..2m (evenly), lognormal:60s,1.2 (mean, and sigma of the logarithm), or run:ID as those of a past run." default:"60s" placeholder:"TIME"`
	Pool    string `help:"Take from this pool of the configuration file what no flag says: workers, slots, providers, idle timeout, deadline; and the budget and the account's limits." placeholder:"NAME"`

	Slots       *int           `help:"Jobs at a time in one worker (default 1, or the pool's)." placeholder:"N"`
	VCPU        float64        `help:"vCPUs of a worker." name:"vcpu" default:"1"`
	Memory      float64        `help:"GB of memory of a worker." default:"2"`
	Arch        string         `help:"Processor of a worker: x86 or arm." enum:"x86,arm" default:"x86"`
	IdleTimeout *time.Duration `help:"How long a worker waits for a job before it leaves (default 15m, or the pool's)." placeholder:"TIME"`
	Within      time.Duration  `help:"When the work should be done, instead of as soon as possible." placeholder:"TIME"`
	Budget      float64        `help:"US dollars an hour that all workers may cost together." placeholder:"USD"`
	Providers   []string       `help:"Where workers run, most preferred first (default FARGATE_SPOT,FARGATE, or the pool's)." placeholder:"NAME"`

	LaunchRate        string        `help:"Tasks that the account launches a second, for each provider or by name: 20, or FARGATE=20,FARGATE_SPOT=40." default:"20" placeholder:"N"`
	Burst             string        `help:"Tasks that it launches at once, likewise." default:"100" placeholder:"N"`
	VCPUs             string        `help:"Its quota of vCPUs, likewise (default: no limit to this)." name:"vcpus" placeholder:"N"`
	Interfaces        int           `help:"Its network interfaces in the Region, one a task." default:"5000"`
	StartUp           string        `help:"How long tasks take to start: 40s, or 30s..60s (evenly)." default:"30s..60s" placeholder:"TIME"`
	NeverStart        float64       `help:"Share of tasks that never start, 0 to 1." default:"0.01"`
	SpotInterruptions float64       `help:"How often an hour a Spot task is interrupted." default:"0"`
	Latency           time.Duration `help:"How long calls of ECS take, in the mean." default:"100ms"`

	Seed    uint64 `help:"What is left to chance; the same seed has the same outcome." default:"1"`
	Runs    int    `help:"Simulate so often, with the seed and those after it, and show medians." default:"1"`
	Compare bool   `help:"Also simulate models of what others do."`
	Chart   string `help:"Write workers over time as a picture, SVG." type:"path" placeholder:"FILE"`
}

// Help tells more.
func (c *simulateCommand) Help() string {
	return "Runs the scaler itself, with its plan, its pacing and its requests, against a model of an AWS account, in virtual time. It needs no AWS and no " +
		"configuration, unless --pool or --job-time run:ID refer to them.\n\n" +
		"Jobs are all there at once. Prices are list prices of us-east-1, Spot at 70 % less, by the second from when a task's image is pulled. What " +
		"is not modelled: the planner, images and inputs that slow each other down, other pools, controllers that die.\n\n" +
		"--compare simulates what others do, in the same account and with the same workers: ECS services, one RunTask after another, step scaling, and " +
		"published curves. These are models, with their sources, not measurements."
}

const (
	runPrefix = "run:"
	maxRuns   = 1000
)

// Validate checks the flags.
func (c *simulateCommand) Validate() error {
	if c.Within < 0 || c.Budget < 0 {
		return errors.New("--within and --budget must not be negative")
	}
	if c.Runs < 1 || c.Runs > maxRuns {
		return fmt.Errorf("--runs must be 1 to %d, not %d", maxRuns, c.Runs)
	}
	_, err := c.scenario(nil, nil)
	return err
}

// Run simulates.
func (c *simulateCommand) Run(ctx context.Context, p *program) error {
	cfg, err := c.pool(p)
	if err != nil {
		return err
	}
	measured, err := c.measured(ctx, p)
	if err != nil {
		return err
	}
	s, err := c.scenario(cfg, measured)
	if err != nil {
		return &problem{what: err.Error(), usage: true}
	}
	progress := progressOn(p.stderr)
	report, err := simulate.Compare(ctx, s, simulate.Options{Runs: c.Runs, Peers: c.Compare, Progress: progress.show})
	progress.clear()
	if err != nil {
		return err
	}
	if c.Chart != "" {
		title := fmt.Sprintf("%s for %s of %s", countOf(s.Workers, "worker"), countOf(s.Jobs, "job"), s.JobTime)
		if err := os.WriteFile(c.Chart, []byte(simulate.Chart(report, title)), 0o644); err != nil {
			return fmt.Errorf("write the chart: %w", err)
		}
	}
	if c.json() {
		return printJSON(p.stdout, simulateJSON(s, c.Runs, report))
	}
	return printSimulation(pageOn(p.stdout), s, c.Runs, report, c.Chart)
}

// pool is the configuration that --pool refers to, with that pool alone; nil if none was asked for.
func (c *simulateCommand) pool(p *program) (*config.Config, error) {
	if c.Pool == "" {
		return nil, nil //nolint:nilnil // none was asked for
	}
	cfg, err := loadConfig(c.Config, p.environ)
	if err != nil {
		return nil, err
	}
	pool, ok := findPool(cfg.Pools, c.Pool)
	if !ok {
		return nil, &problem{what: fmt.Sprintf("there is no pool %s in %s: there are %s", c.Pool, c.Config, strings.Join(poolNames(cfg.Pools), ", ")), usage: true}
	}
	alone := *cfg
	alone.Pools = []config.Pool{pool}
	return &alone, nil
}

// measured is how long the jobs of a past run took, if they are asked for.
func (c *simulateCommand) measured(ctx context.Context, p *program) (*simulate.JobTime, error) {
	id, ok := strings.CutPrefix(c.JobTime, runPrefix)
	if !ok {
		return nil, nil //nolint:nilnil // none was asked for
	}
	in, err := c.open(ctx, p)
	if err != nil {
		return nil, err
	}
	reader, err := in.reader()
	if err != nil {
		return nil, err
	}
	run, err := reader.FindRun(ctx, id)
	if err != nil {
		return nil, err
	}
	var took []time.Duration
	for result, err := range planner.ReadResults(ctx, in.objects, run.ID) {
		if err != nil {
			return nil, fmt.Errorf("read how long the jobs of %s took: %w", run.ID, err)
		}
		if result.Seconds > 0 {
			took = append(took, toDuration(result.Seconds))
		}
	}
	if len(took) == 0 {
		return nil, &problem{what: "run " + run.ID + " computed no job whose time is known", todo: "Name another run, or a time: --job-time 60s."}
	}
	return new(simulate.Measured(runPrefix+run.ID, took)), nil
}

// scenario is what the flags ask for, beside the only pool of a configuration; cfg and measured may be nil.
func (c *simulateCommand) scenario(cfg *config.Config, measured *simulate.JobTime) (simulate.Scenario, error) {
	workers := 3000
	if cfg != nil {
		workers = cfg.Pools[0].Max
	}
	if c.Workers != nil {
		workers = *c.Workers
	}
	s := simulate.NewScenario(workers)
	if cfg != nil {
		configured(&s, cfg)
	}
	if c.Slots != nil {
		s.Slots = *c.Slots
	}
	if c.IdleTimeout != nil {
		s.IdleTimeout = *c.IdleTimeout
	}
	if len(c.Providers) > 0 {
		s.Providers = c.Providers
	}
	if c.Within > 0 {
		s.Within = c.Within
	}
	if c.Budget > 0 {
		s.Limits.PerHour = price.USD(c.Budget)
	}
	s.Jobs *= s.Slots
	if c.Jobs != nil {
		s.Jobs = *c.Jobs
	}
	s.VCPU, s.MemoryGB, s.Arch = c.VCPU, c.Memory, price.Arch(c.Arch)
	s.Latency, s.Seed = c.Latency, c.Seed
	s.Account.NeverStart, s.Account.SpotInterruptions, s.Account.Interfaces = c.NeverStart, c.SpotInterruptions, c.Interfaces
	if err := c.account(&s); err != nil {
		return s, err
	}
	if measured != nil {
		s.JobTime = *measured
	} else if !strings.HasPrefix(c.JobTime, runPrefix) {
		var err error
		if s.JobTime, err = simulate.ParseJobTime(c.JobTime); err != nil {
			return s, fmt.Errorf("--job-time: %w", err)
		}
	}
	s.Expected = s.JobTime.Mean() // as after an earlier night
	return s, s.Validate()
}

// configured takes over what a configuration says of its only pool, and of the account.
func configured(s *simulate.Scenario, cfg *config.Config) {
	pool := cfg.Pools[0]
	s.Slots, s.IdleTimeout, s.Within, s.Providers, s.Bounds = pool.Slots, pool.IdleTimeout, pool.Sizing.Within, nil, map[string]scaler.Capacity{}
	for _, x := range pool.Capacity {
		s.Providers = append(s.Providers, x.Provider)
		s.Bounds[x.Provider] = scaler.Capacity{Provider: x.Provider, Min: x.Min, Max: x.Max}
	}
	s.Limits = scaler.Account{
		VCPUs:             map[string]float64{simulate.OnDemand: cfg.Account.FargateVCPUs, simulate.Spot: cfg.Account.FargateSpotVCPUs},
		NetworkInterfaces: cfg.Account.NetworkInterfaces, PerHour: price.USD(cfg.Budget.MaxUSDPerHour),
	}
}

// account reads what the flags say of the account.
func (c *simulateCommand) account(s *simulate.Scenario) error {
	from, to, err := simulate.ParseRange(c.StartUp)
	if err != nil {
		return fmt.Errorf("--start-up: %w", err)
	}
	s.SetStartUp(from, to)
	if c.VCPUs == "" {
		s.Unbound()
	}
	for _, flag := range []struct {
		name, text string
		set        func(provider string, n float64)
	}{
		{"--launch-rate", c.LaunchRate, func(p string, n float64) { s.Provider(p).Launches.PerSecond = n }},
		{"--burst", c.Burst, func(p string, n float64) { s.Provider(p).Launches.Burst = n }},
		{"--vcpus", c.VCPUs, func(p string, n float64) { s.Provider(p).VCPUs = n }},
	} {
		if flag.text == "" {
			continue
		}
		numbers, err := simulate.EachProvider(flag.text)
		if err != nil {
			return fmt.Errorf("%s: %w", flag.name, err)
		}
		for provider, n := range numbers {
			flag.set(provider, n)
		}
	}
	return nil
}

// scenarioView is what was assumed, as programs read it.
type scenarioView struct {
	Workers     int                     `json:"workers"`
	Jobs        int                     `json:"jobs"`
	JobTime     string                  `json:"job_time"`
	JobSeconds  float64                 `json:"mean_job_seconds"`
	Slots       int                     `json:"slots"`
	VCPU        float64                 `json:"vcpu"`
	MemoryGB    float64                 `json:"memory_gb"`
	Arch        price.Arch              `json:"arch"`
	IdleSeconds float64                 `json:"idle_timeout_seconds"`
	Within      float64                 `json:"within_seconds,omitzero"`
	Budget      price.USD               `json:"max_usd_per_hour,omitzero"`
	Latency     float64                 `json:"latency_seconds"`
	Launches    map[string]launchesView `json:"launches"` // by provider
	StartUp     [2]float64              `json:"start_up_seconds"`
	NeverStart  float64                 `json:"never_start"`
	Interrupted float64                 `json:"spot_interruptions_per_hour"`
	Interfaces  int                     `json:"interfaces"`
	Seed        uint64                  `json:"seed"`
	Runs        int                     `json:"runs"`
}

type launchesView struct {
	Burst     float64 `json:"burst"`
	PerSecond float64 `json:"per_second"`
	VCPUs     float64 `json:"vcpus"`
}

type simulationView struct {
	simulate.Report
	Scenario scenarioView `json:"scenario"`
	Prices   string       `json:"prices"`
}

func simulateJSON(s simulate.Scenario, runs int, r simulate.Report) simulationView {
	least, most := s.StartUpRange()
	v := scenarioView{
		Workers: s.Workers, Jobs: s.Jobs, JobTime: s.JobTime.String(), JobSeconds: s.JobTime.Mean().Seconds(), Slots: s.Slots, VCPU: s.VCPU,
		MemoryGB: s.MemoryGB, Arch: s.Arch, IdleSeconds: s.IdleTimeout.Seconds(), Within: s.Within.Seconds(), Budget: s.Limits.PerHour, Latency: s.Latency.Seconds(), Launches: map[string]launchesView{},
		StartUp: [2]float64{least.Seconds(), most.Seconds()}, NeverStart: s.Account.NeverStart, Interrupted: s.Account.SpotInterruptions,
		Interfaces: s.Account.Interfaces, Seed: s.Seed, Runs: runs,
	}
	for _, name := range s.Providers {
		p := s.Provider(name)
		v.Launches[name] = launchesView{p.Launches.Burst, p.Launches.PerSecond, p.VCPUs}
	}
	return simulationView{r, v, price.Source}
}

// printSimulation prints text.
func printSimulation(w page, s simulate.Scenario, runs int, r simulate.Report, chart string) error {
	own := r.Policies[0]
	w.paragraph("", fmt.Sprintf("Simulated: %s for %s of %s, all there at once.", countOf(r.Target, "worker"), countOf(s.Jobs, "job"), s.JobTime))
	w.paragraph("  ", assumed(s, runs))
	fmt.Fprintln(w)
	for _, line := range outcomeLines(s, own, r.Target) {
		fmt.Fprintf(w, "  %-12s", line.name)
		fmt.Fprintln(w, fold(strings.Split(line.text, " "), w.width-outcomeIndent, strings.Repeat(" ", outcomeIndent)))
	}
	if len(r.Policies) > 1 {
		fmt.Fprintln(w)
		if err := printPeers(w, r); err != nil {
			return err
		}
	}
	if chart != "" {
		fmt.Fprintln(w)
		w.paragraph("", "Workers over time: "+chart)
	}
	return nil
}

// outcomeIndent is where the text of an outcome begins.
const outcomeIndent = 14

type outcomeLine struct{ name, text string }

// outcomeLines say what comes of it.
func outcomeLines(s simulate.Scenario, p simulate.Policy, target int) []outcomeLine {
	var lines []outcomeLine
	add := func(name, format string, args ...any) {
		lines = append(lines, outcomeLine{name, fmt.Sprintf(format, args...)})
	}
	accepted := "never"
	if p.SecondsToAccepted != nil {
		accepted = inSeconds(p.SecondsToAccepted)
	}
	if p.FloorSeconds != nil {
		accepted += "; the account's own limits allow " + inSeconds(p.FloorSeconds)
	} else {
		accepted += fmt.Sprintf(": the limits do not allow %d", target)
	}
	add("accepted", "%s", accepted)
	switch {
	case p.SecondsToMost == nil:
		add("running", "never %d at once", p.Most)
	case p.Most < target:
		all := "never"
		if p.SecondsToRunning != nil {
			all = inSeconds(p.SecondsToRunning)
		}
		add("running", "%s until %d, %s until all %d: %.3g %% never start, which shows minutes later", inSeconds(p.SecondsToMost), p.Most,
			all, target, s.Account.NeverStart*100)
	default:
		add("running", "%s", inSeconds(p.SecondsToRunning))
	}
	add("finished", "%s", inSeconds(p.SecondsToFinished))
	add("none left", "%s, after %s without a job", inSeconds(p.SecondsToZero), s.IdleTimeout)
	launched := fmt.Sprintf("%d, at most %d more at once than wanted", p.Launched, p.Overshoot)
	if p.Interrupted > 0 {
		launched += fmt.Sprintf("; %d interrupted", p.Interrupted)
	}
	if p.Useless > 0 {
		launched += fmt.Sprintf("; %d never had a job", p.Useless)
	}
	add("launched", "%s", launched)
	if held := heldBy(p.Held); held != "" {
		add("held back", "%s", held)
	}
	add("RunTask", "%s, %s of them throttled", countOf(p.Calls, "call"), inPercent(p.ThrottledShare))
	add("cost", "%s until finished, %s until none is left; %.0f %% of the time paid for without a job, %.0f %% to start", p.USDToFinished, p.USD,
		p.IdleShare*100, p.StartShare*100)
	return lines
}

// inPercent writes a share, with two digits where it is small.
func inPercent(share float64) string {
	if share < 0.1 {
		return fmt.Sprintf("%.2g %%", share*100)
	}
	return fmt.Sprintf("%.0f %%", share*100)
}

// heldBy says what kept the scaler from launching more, the longest first.
func heldBy(held map[scaler.Limit]float64) string {
	limits := slices.SortedFunc(maps.Keys(held), func(a, b scaler.Limit) int {
		return cmp.Or(cmp.Compare(held[b], held[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, limit := range limits {
		if long := toDuration(held[limit]); long >= time.Second {
			parts = append(parts, fmt.Sprintf("by %s for %s", limit, took(long)))
		}
	}
	return strings.Join(parts, ", ")
}

// assumed says what a simulation takes for granted.
func assumed(s simulate.Scenario, runs int) string {
	var launches []string
	for _, name := range s.Providers {
		p := s.Provider(name)
		launches = append(launches, fmt.Sprintf("%s %v at once, then %v a second, up to %v vCPU", name, p.Launches.Burst, p.Launches.PerSecond, p.VCPUs))
	}
	least, most := s.StartUpRange()
	text := fmt.Sprintf("Workers of %v vCPU and %v GB (%s), %s each. Launches: %s. Tasks start within %s to %s.", s.VCPU, s.MemoryGB, s.Arch, countOf(s.Slots, "job"),
		strings.Join(launches, "; "), least, most)
	if s.Within > 0 {
		text += fmt.Sprintf(" The work should be done within %s.", s.Within)
	}
	if s.Limits.PerHour > 0 {
		text += fmt.Sprintf(" They may cost %s an hour.", s.Limits.PerHour)
	}
	if s.Account.SpotInterruptions > 0 {
		text += fmt.Sprintf(" A Spot task is interrupted %v times an hour.", s.Account.SpotInterruptions)
	}
	if runs > 1 {
		text += fmt.Sprintf(" Medians of %d runs, seeds %d to %d.", runs, s.Seed, s.Seed+uint64(runs)-1)
	}
	return text
}

// printPeers prints what the models make of it.
func printPeers(w page, r simulate.Report) error {
	var body [][]string
	for _, p := range r.Policies {
		slower := "1"
		if p.Model {
			slower = "-"
			if p.Times != nil && p.Times.SecondsToAccepted != nil {
				slower = fmt.Sprintf("%.1f", *p.Times.SecondsToAccepted)
			}
		}
		name := p.Name
		if p.Model {
			name += " *"
		}
		body = append(body, []string{
			name, inSeconds(p.SecondsToAccepted), slower, inSeconds(p.SecondsToMost), inSeconds(p.SecondsToFinished), p.USDToFinished.String(), p.USD.String(),
		})
	}
	if err := w.rowsWithin([]string{"POLICY", "ACCEPTED", "TIMES", "RUNNING", "FINISHED", "COST SO FAR", "IN ALL"}, body, "TIMES"); err != nil {
		return err
	}
	fmt.Fprintln(w)
	w.paragraph("", fmt.Sprintf("* A model, not a measurement. TIMES compares ACCEPTED with Spate's. RUNNING is when %d run, COST SO FAR until the last job is done, - never.", r.Policies[0].Most))
	for _, p := range r.Policies[1:] {
		w.paragraph("  ", fmt.Sprintf("%s: %s. Taken for granted: %s.", p.Name, p.Source, p.Note))
	}
	return nil
}

// inSeconds is a time, or that there was none.
func inSeconds(seconds *float64) string {
	if seconds == nil || math.IsNaN(*seconds) {
		return "-"
	}
	return took(toDuration(*seconds))
}
