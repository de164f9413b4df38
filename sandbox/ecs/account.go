package ecs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"spate/sandbox/limit"
)

// stoppedKept is how long a stopped task is still described; ECS says "at least
// one hour".
const stoppedKept = time.Hour

// account is all that ECS knows of one account in one Region. It has no lock and
// no clock.
type account struct {
	region, accountID string
	figures           Figures
	random            *rand.Rand
	newID             func() string // of a task; a seed repeats them too

	clusters map[string]*cluster      // by name
	families map[string][]*definition // by family; the index is the revision less one
	tasks    map[string]*task         // by id
	buckets  map[string]*limit.Bucket // launches by capacity provider, calls by their kind
	launches map[launchKey]launch     // answered requests, by clientToken
	used     use                      // by tasks that have not stopped
	launched int                      // tasks, since the start
	swept    time.Time                // when old tasks and answers were last dropped
}

func newAccount(region, accountID string, figures Figures, seed uint64) *account {
	ids := rand.New(rand.NewPCG(seed, 1))
	return &account{
		region: region, accountID: accountID, figures: figures, random: rand.New(rand.NewPCG(seed, 0)), newID: func() string { return fmt.Sprintf("%016x%016x", ids.Uint64(), ids.Uint64()) },
		clusters: map[string]*cluster{}, families: map[string][]*definition{}, tasks: map[string]*task{},
		buckets: map[string]*limit.Bucket{}, launches: map[launchKey]launch{}, used: newUse(),
	}
}

func (a *account) arn(resource string) string {
	return "arn:aws:ecs:" + a.region + ":" + a.accountID + ":" + resource
}

// bucket is a bucket by its name; a new one is full.
func (a *account) bucket(name string) *limit.Bucket {
	b := a.buckets[name]
	if b == nil {
		b = &limit.Bucket{}
		a.buckets[name] = b
	}
	return b
}

// The buckets of calls.
const (
	changeCalls  = "calls that change tasks"
	runTaskCalls = "RunTask calls"
	lookCalls    = "calls that look at tasks"
	clusterCalls = "DescribeClusters calls"
)

// admit lets a call through, or says that there were too many.
func (a *account) admit(now time.Time, kinds ...string) error {
	rates := map[string]Rate{
		changeCalls: a.figures.ChangeCalls, runTaskCalls: a.figures.RunTaskCalls, lookCalls: a.figures.LookCalls, clusterCalls: a.figures.ClusterCalls,
	}
	for _, kind := range kinds {
		if !a.bucket(kind).Has(now, rates[kind], 1) {
			return errThrottled()
		}
	}
	for _, kind := range kinds {
		a.bucket(kind).Take(1)
	}
	return nil
}

// sweep forgets what stopped, or was answered, too long ago.
func (a *account) sweep(now time.Time) {
	if now.Sub(a.swept) < time.Minute {
		return
	}
	a.swept = now
	old := func(t *task) bool { return t.last == stopped && now.Sub(t.ended) >= stoppedKept }
	for _, c := range a.clusters {
		for _, t := range c.tasks {
			if old(t) {
				delete(a.tasks, t.id)
			}
		}
		c.tasks = slices.DeleteFunc(c.tasks, old)
	}
	for key, l := range a.launches {
		if l.forgotten(now) {
			delete(a.launches, key)
		}
	}
}

// cluster is a name under which tasks run.
type cluster struct {
	name       string
	arn        string
	zone       string
	containers string  // ARN of containers, up to the task's id
	tasks      []*task // in the order of their launch
	providers  []string
	tags       []tag
}

func (c *cluster) containerARN(taskID string) string { return c.containers + taskID + "/main" }

// createCluster makes a cluster, or returns the one of that name.
func (a *account) createCluster(name string, providers []string, tags []tag) *cluster {
	if name == "" {
		name = "default"
	}
	if c := a.clusters[name]; c != nil {
		return c
	}
	if providers == nil {
		providers = []string{}
	}
	c := &cluster{
		name: name, arn: a.arn("cluster/" + name), zone: a.region + "a", containers: a.arn("container/" + name + "/"),
		providers: providers, tags: tags,
	}
	a.clusters[name] = c
	return c
}

// cluster finds one by name or ARN; empty means "default".
func (a *account) cluster(name string) (*cluster, error) {
	if name == "" {
		name = "default"
	}
	if c := a.clusters[lastPart(name)]; c != nil {
		return c, nil
	}
	return nil, errNoCluster()
}

// task finds a cluster's task by id or ARN; nil if it is not there.
func (a *account) task(c *cluster, name string) *task {
	if t := a.tasks[lastPart(name)]; t != nil && t.cluster == c {
		return t
	}
	return nil
}

type clusterView struct {
	ClusterARN                        string     `json:"clusterArn"`
	ClusterName                       string     `json:"clusterName"`
	Status                            string     `json:"status"`
	RegisteredContainerInstancesCount int        `json:"registeredContainerInstancesCount"`
	RunningTasksCount                 int        `json:"runningTasksCount"`
	PendingTasksCount                 int        `json:"pendingTasksCount"`
	ActiveServicesCount               int        `json:"activeServicesCount"`
	Statistics                        []keyValue `json:"statistics"`
	Tags                              []tag      `json:"tags"`
	CapacityProviders                 []string   `json:"capacityProviders"`
}

// view is the cluster on the wire; include may name STATISTICS and TAGS.
func (c *cluster) view(include []string) clusterView {
	view := clusterView{
		ClusterARN: c.arn, ClusterName: c.name, Status: "ACTIVE",
		Statistics: []keyValue{}, Tags: []tag{}, CapacityProviders: c.providers,
	}
	for _, t := range c.tasks {
		switch t.last {
		case provisioning, pending:
			view.PendingTasksCount++
		case running, deactivating, stopping:
			view.RunningTasksCount++
		case deprovisioning, stopped:
		}
	}
	if slices.Contains(include, "STATISTICS") {
		view.Statistics = []keyValue{
			{"runningEC2TasksCount", "0"},
			{"pendingEC2TasksCount", "0"},
			{"runningFargateTasksCount", strconv.Itoa(view.RunningTasksCount)},
			{"pendingFargateTasksCount", strconv.Itoa(view.PendingTasksCount)},
		}
	}
	if slices.Contains(include, "TAGS") && c.tags != nil {
		view.Tags = c.tags
	}
	return view
}
