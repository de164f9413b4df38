package scaler

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const (
	countEvery = time.Minute
	driftLooks = 3 // counts in a row that must differ the same way
)

// drift compares how many tasks ECS counts in a cluster with how many the pools know of. The two are never of the same
// moment, so that only what differs again and again is told.
type drift struct {
	counted int
	last    []int // differences, the newest last
}

// saw takes over a count, where between low and high tasks were expected.
func (d *drift) saw(low, high, counted int) {
	d.counted = counted
	difference := 0
	switch {
	case counted < low:
		difference = counted - low
	case counted > high:
		difference = counted - high
	}
	d.last = append(d.last, difference)
	d.last = d.last[max(0, len(d.last)-driftLooks):]
}

// tasks is how many more tasks (fewer, if negative) ECS has counted than were known, each of the last times.
func (d *drift) tasks() int {
	if len(d.last) < driftLooks {
		return 0
	}
	switch least, most := slices.Min(d.last), slices.Max(d.last); {
	case least > 0:
		return least
	case most < 0:
		return most
	}
	return 0
}

// sentence says what is wrong, or "".
func (d *drift) sentence(cluster string) string {
	switch n := d.tasks(); {
	case n < 0:
		return fmt.Sprintf("ECS counts %s in cluster %s, %d fewer than Spate believes to be there, %d minutes in a row: what is launched may be too little until listings agree",
			count(d.counted, "Fargate task"), cluster, -n, driftLooks)
	case n > 0:
		return fmt.Sprintf("ECS counts %s in cluster %s, %d more than Spate's pools have: they are other people's, or of a pool that the configuration has no more",
			count(d.counted, "Fargate task"), cluster, n)
	}
	return ""
}

// cluster is one in which pools have their workers.
type cluster struct {
	name   string // or ARN, as configured
	pools  []*pool
	asking bool
	next   time.Time
	at     time.Time // of the last count
	drift  drift
	said   int  // the drift that was logged last
	failed bool // the last time
}

func clustersOf(pools []*pool) []*cluster {
	var clusters []*cluster
	for _, p := range pools {
		i := slices.IndexFunc(clusters, func(c *cluster) bool { return c.name == p.Cluster })
		if i < 0 {
			i = len(clusters)
			clusters = append(clusters, &cluster{name: p.Cluster})
		}
		clusters[i].pools = append(clusters[i].pools, p)
		p.cluster = clusters[i]
	}
	return clusters
}

// countIn has ECS count a cluster's tasks when that is due. It is called after a listing of one of its pools, when most is known
// of them.
func (e *Engine) countIn(now time.Time, c *cluster) {
	if c.asking || now.Before(c.next) || slices.ContainsFunc(c.pools, func(p *pool) bool { return !p.fleet.known }) {
		return
	}
	c.asking, c.next = true, now.Add(countEvery)
	low, high := c.expected()
	in := &ecs.DescribeClustersInput{Clusters: []string{c.name}, Include: []types.ClusterField{types.ClusterFieldStatistics}}
	e.hands.DescribeClusters(in, func(now time.Time, out *ecs.DescribeClustersOutput, err error) error {
		c.asking = false
		counted, err := fargateTasks(out, err)
		if err != nil {
			if !c.failed {
				e.o.Log.Warn().Err(err).Str("cluster", c.name).Msg("cannot compare with the cluster's count of tasks; trying each minute")
			}
			c.failed = true
			return nil
		}
		c.failed, c.at = false, now
		lowNow, highNow := c.expected()
		c.drift.saw(min(low, lowNow), max(high, highNow), counted)
		e.tellDrift(c)
		return nil
	})
}

// expected is between which numbers the tasks of the pools are: what ECS has shown of them, and all that may be there.
func (c *cluster) expected() (low, high int) {
	for _, p := range c.pools {
		for _, m := range p.fleet.members {
			high++
			if m.seen && m.status != memberStopping {
				low++
			}
		}
		for _, r := range p.intents {
			high += r.Unconfirmed()
		}
	}
	return low, high
}

func (e *Engine) tellDrift(c *cluster) {
	n := c.drift.tasks()
	e.metrics.drift.WithLabelValues(c.name).Set(float64(n))
	if (n < 0) == (c.said < 0) && (n > 0) == (c.said > 0) {
		return
	}
	c.said = n
	switch {
	case n < 0:
		e.o.Log.Warn().Str("cluster", c.name).Int("drift", n).Msg(c.drift.sentence(c.name))
	case n > 0:
		e.o.Log.Info().Str("cluster", c.name).Int("drift", n).Msg(c.drift.sentence(c.name))
	default:
		e.o.Log.Info().Str("cluster", c.name).Msg("the cluster's count of tasks agrees again")
	}
}

// fargateTasks reads how many tasks a cluster has on Fargate, running and pending ("DescribeClusters" in the Amazon ECS API
// reference, statistics).
func fargateTasks(out *ecs.DescribeClustersOutput, err error) (int, error) {
	if err != nil {
		return 0, fmt.Errorf("describe cluster: %w", err)
	}
	if len(out.Clusters) != 1 {
		return 0, fmt.Errorf("describe cluster: the answer is about %d clusters", len(out.Clusters))
	}
	sum, found := 0, 0
	for _, s := range out.Clusters[0].Statistics {
		switch aws.ToString(s.Name) {
		case "runningFargateTasksCount", "pendingFargateTasksCount":
			var n int
			if _, err := fmt.Sscan(aws.ToString(s.Value), &n); err != nil {
				return 0, fmt.Errorf("describe cluster: statistic %s is %q", aws.ToString(s.Name), aws.ToString(s.Value))
			}
			sum += n
			found++
		}
	}
	if found != 2 {
		return 0, fmt.Errorf("describe cluster: it has no statistics of Fargate tasks")
	}
	return sum, nil
}
