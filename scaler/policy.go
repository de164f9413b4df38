package scaler

import (
	"time"

	"spate/internal/price"
)

// Policy is what somebody configured.
type Policy struct {
	Pools   []PoolPolicy
	Account Account
}

// Account bounds all pools together. What is 0 or not named is no bound: ECS refuses beyond a quota, which holds growth
// then.
type Account struct {
	VCPUs             map[string]float64 // at once, by provider
	NetworkInterfaces int                // one a task
	PerHour           price.USD          // that all workers may cost together, at list prices
}

// PoolPolicy bounds one pool.
type PoolPolicy struct {
	Name       string
	Min, Max   int // workers
	Slots      int // jobs that one worker runs at a time, at least 1
	Priority   int // the higher launches first
	Capacity   []Capacity
	Within     time.Duration // of its submission, a run's work should be done; 0: as soon as possible
	StaleAfter time.Duration // an observation older than this holds the pool
}

// Capacity is one source of tasks: a Fargate capacity provider and how many workers the pool takes from it.
type Capacity struct {
	Provider string // FARGATE or FARGATE_SPOT
	// Min is how many of the workers that are wanted come from this provider before others are asked, 0 to Max.
	Min int
	Max int
}
