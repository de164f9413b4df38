package report

import (
	"math"
	"time"
)

// StartUp is how long a Fargate task takes from its launch to its worker's first message, as the model has it: ENI,
// image and start of the container.
const StartUp = 45 * time.Second

// Fargate launches 100 tasks of a capacity provider at once and then 20 a second ("Amazon ECS service quotas").
const (
	launchBurst     = 100
	launchPerSecond = 20
)

// Work is what there is to compute.
type Work struct {
	Jobs     int     // distinct ones
	Seconds  float64 // of all of them
	Critical float64 // seconds of the longest chain of jobs of which each needs the one before
	Widest   int     // most jobs of one level, a level being the jobs with equally many ancestors to compute, one after another
}

// Fleet is what a pool can bring to a run.
type Fleet struct {
	Slots     int   // of a worker
	Max       int   // workers
	Providers []int // most workers of each, the preferred first
	Idle      int   // workers that run already and have nothing to do
}

// Forecast is how long work takes, by a model: no worker is there when it begins, or enough idle ones are; workers are launched as fast as Fargate
// lets them be; they never wait but for the longest chain; none is interrupted and no attempt fails.
type Forecast struct {
	Workers  int           // that work
	StartUp  time.Duration // until the first job starts: StartUp, or 0 on workers that are there
	Launched time.Duration // until the last of the workers is launched
	Busy     time.Duration // from the first job to the last
	Total    time.Duration // StartUp and Busy; 0 when there is nothing to do
	Chain    bool          // the longest chain decides, not the number of workers
}

// Foresee is that model.
func Foresee(w Work, f Fleet) Forecast {
	if w.Jobs == 0 {
		return Forecast{}
	}
	slots := max(1, f.Slots)
	useful := (max(1, min(w.Widest, w.Jobs)) + slots - 1) / slots
	forecast := Forecast{Workers: max(1, min(useful, f.Max)), StartUp: StartUp}
	// Of workers with several slots, those that fill them count.
	perWorker := math.Min(float64(slots), float64(max(1, w.Widest))/float64(forecast.Workers))
	launched, busy := launchUntil(w.Seconds/perWorker, forecast.Workers, f.Providers)
	if f.Idle >= forecast.Workers {
		forecast.StartUp, launched, busy = 0, 0, w.Seconds/perWorker/float64(forecast.Workers)
	}
	forecast.Launched, forecast.Chain = seconds(launched), w.Critical > busy
	forecast.Busy = seconds(math.Max(w.Critical, busy))
	forecast.Total = forecast.StartUp + forecast.Busy
	return forecast
}

// launchUntil is when so many workers are launched, each on the first provider that has room, and when they have worked
// so many seconds together, each from when it was launched.
func launchUntil(workerSeconds float64, workers int, providers []int) (launched, done float64) {
	shares := make([]int, 0, len(providers)+1)
	left := workers
	for _, room := range providers {
		shares = append(shares, min(room, left))
		left -= shares[len(shares)-1]
	}
	if left > 0 {
		shares = append(shares, left)
	}
	worked := 0.0
	for at := 0.0; ; at++ {
		running := 0
		for _, share := range shares {
			running += min(share, launchBurst+int(at)*launchPerSecond)
		}
		if running >= workers {
			return at, at + (workerSeconds-worked)/float64(workers)
		}
		if worked+float64(running) >= workerSeconds {
			return at, at + (workerSeconds-worked)/float64(running)
		}
		worked += float64(running)
	}
}

func seconds(s float64) time.Duration { return time.Duration(math.Ceil(s * float64(time.Second))) }
