package simulate

import (
	"time"

	"spate/sandbox/ecs"
)

// Peer is a model of what somebody does who does not use Spate: how its tasks come to be launched, and leave. All the rest
// (account, jobs, prices, workers) is the same world.
type Peer struct {
	Name   string
	Source string // where the figures of the model come from
	Note   string // what the model takes for granted
	make   func(Scenario) launcher
}

// Peers are the models, in the order in which they are shown.
func Peers() []Peer {
	const (
		perMinute   = 500 // tasks that one service launches
		manyService = 5
		desired     = "desired count set when the jobs come, and to zero the moment the last one is done"
	)
	return []Peer{
		{
			Name:   "ecs_service",
			Source: "Amazon ECS service quotas: 500 tasks launched by a service on Fargate a minute",
			Note:   "one service; " + desired,
			make:   func(s Scenario) launcher { return &service{perSecond: perMinute / 60.0, wants: s.Target()} },
		},
		{
			Name:   "five_ecs_services",
			Source: "the same quota, for each of five services",
			Note:   "five services that share the account's launch rate; " + desired,
			make: func(s Scenario) launcher {
				return &service{perSecond: manyService * perMinute / 60.0, wants: s.Target()}
			},
		},
		{
			Name:   "serial_run_task",
			Source: "Sleeper (github.com/gchq/sleeper), RunECSTasks: one call for ten tasks, then a second's sleep",
			Note:   "as many launches as there should be workers, none replaced; workers leave as Spate's do",
			make:   func(s Scenario) launcher { return &serial{left: s.Target()} },
		},
		{
			Name: "cdk_queue_service",
			Source: "AWS CDK, QueueProcessingFargateService: steps of -1 at 0 messages, +1 from 100, +5 from 500; SQS metrics come once " +
				"a minute (Amazon SQS, CloudWatch metrics)",
			Note: "default steps, maximum raised; a step each minute, without cooldown, on a metric a minute old; idle tasks counted for an hour at most",
			make: func(s Scenario) launcher {
				return newStepped(s, []step{{from: 500, change: 5}, {from: 100, change: 1}}, -1)
			},
		},
		{
			Name:   "cdk_large_steps",
			Source: "the same construct, with steps as large as what one service launches in a minute",
			Note:   "+500 from 1 message, -500 at 0 messages; tasks that it stops give their jobs back",
			make: func(s Scenario) launcher {
				return newStepped(s, []step{{from: 1, change: perMinute}}, -perMinute)
			},
		},
		{
			Name:   "published_2020",
			Source: "V. Ionescu, Scaling containers in AWS (2020): 3,000 on Fargate in about 54 minutes",
			Note:   "a straight line to that point; " + desired,
			make:   func(s Scenario) launcher { return published(s, 3000, 54*time.Minute) },
		},
		{
			Name:   "published_2022",
			Source: "V. Ionescu, Scaling containers on AWS in 2022: 3,500 on Fargate in about 4.5 minutes, by five services",
			Note:   "a straight line to that point; " + desired,
			make:   func(s Scenario) launcher { return published(s, 3500, 270*time.Second) },
		},
	}
}

// Run simulates what the peer makes of a scenario.
func (p Peer) Run(s Scenario) (Outcome, error) {
	if err := s.Validate(); err != nil {
		return Outcome{}, err
	}
	return simulate(s, p.make(s))
}

// published is a measured curve: so many running after that long.
func published(s Scenario, tasks int, took time.Duration) launcher {
	launching := max(time.Second, took-s.StartUp())
	return &service{perSecond: float64(tasks) / launching.Seconds(), wants: s.Target()}
}

// service is an ECS service, or several: its scheduler launches at a rate until there are as many tasks as are desired,
// also in the place of those that stop. Its tasks stay until it wants fewer.
type service struct {
	w         *world
	perSecond float64
	wants     int // once there are jobs
	desired   int
	credit    float64
	spread    spread
}

func (x *service) begin(w *world) error {
	x.w, w.stay = w, true
	return nil
}

func (x *service) submitted(*world) error {
	x.desired = x.wants
	x.round()
	return nil
}

func (x *service) finished(w *world) {
	x.desired = 0
	for _, m := range w.newest(len(w.order)) {
		w.stop(m)
	}
}

// round launches a second's worth.
func (x *service) round() {
	x.credit = min(x.credit+x.perSecond, 2*x.perSecond+1)
	n := min(int(x.credit), max(0, x.desired-len(x.w.tasks)))
	x.credit -= float64(x.spread.launch(x.w, n))
	x.w.after(time.Second, x.round)
}

// spread launches tasks evenly on the scenario's providers.
type spread struct{ next int }

// launch tries to launch n tasks and returns how many there are.
func (x *spread) launch(w *world, n int) (launched int) {
	for i := range len(w.s.Providers) {
		share := (n + i) / len(w.s.Providers) // the shares add up to n
		for share > 0 {
			out, err := x.call(w, min(share, tasksPerCall))
			launched += len(out.New)
			share -= tasksPerCall
			if err != nil {
				break // a second later again
			}
		}
		x.next++
	}
	if n%len(w.s.Providers) == 1 {
		x.next++ // so that the larger share goes round
	}
	return launched
}

// call is one call for the provider whose turn it is.
func (x *spread) call(w *world, n int) (ecs.Launched, error) {
	return w.launch(ecs.Launch{
		TaskDefinition: w.definition, Provider: w.s.Providers[x.next%len(w.s.Providers)], Count: n, Subnets: w.s.subnets(),
	})
}

// serial calls RunTask for ten tasks, waits for a second, and so on.
type serial struct {
	w      *world
	left   int
	spread spread
}

func (x *serial) begin(w *world) error {
	x.w = w
	return nil
}

func (x *serial) submitted(*world) error {
	x.round()
	return nil
}

func (x *serial) round() {
	if out, err := x.spread.call(x.w, min(x.left, tasksPerCall)); err == nil { // else the same a second later
		x.left -= len(out.New)
	}
	x.spread.next++
	if x.left > 0 {
		x.w.after(time.Second, x.round)
	}
}

func (x *serial) finished(*world) {}

// step is a change of the desired count from so many visible messages on.
type step struct{ from, change int }

// stepped is a service whose desired count follows the queue in steps.
type stepped struct {
	service
	most   int
	steps  []step // the highest first
	in     int    // the change at no visible message
	metric int    // a minute old
}

const (
	metricEvery = time.Minute
	idleCounted = time.Hour // after the last job
)

func newStepped(s Scenario, steps []step, in int) *stepped {
	const perMinute = 500
	return &stepped{service: service{perSecond: perMinute / 60.0}, most: s.Target(), steps: steps, in: in}
}

// begin has the least that such a service has: one task.
func (x *stepped) begin(w *world) error {
	x.w, w.stay = w, true
	x.desired = 1
	x.round()
	x.look()
	return nil
}

func (x *stepped) submitted(*world) error { return nil }

// look acts on the metric of a minute ago, and takes the next one.
func (x *stepped) look() {
	seen := x.metric
	x.metric = len(x.w.jobs)
	change := 0
	if seen == 0 {
		change = x.in
	}
	for _, s := range x.steps {
		if seen >= s.from {
			change = s.change
			break
		}
	}
	x.desired = max(1, min(x.desired+change, x.most))
	if extra := len(x.w.newest(len(x.w.order))) - x.desired; extra > 0 {
		for _, m := range x.w.newest(extra) {
			x.w.stop(m)
		}
	}
	if x.w.tally.f.SecondsToFinished != nil && x.desired == 1 {
		x.end()
		return
	}
	x.w.after(metricEvery, x.look)
}

// finished leaves scaling in to the steps, for a while.
func (x *stepped) finished(w *world) { w.after(idleCounted, x.end) }

// end stops what is left.
func (x *stepped) end() {
	if !x.w.over {
		x.service.finished(x.w)
		x.w.over = true
	}
}
