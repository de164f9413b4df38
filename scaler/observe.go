package scaler

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"spate/internal/awsclient"
)

const (
	maxDescribe = 100 // tasks a call ("DescribeTasks" in the Amazon ECS API reference)
	lookTimeout = 45 * time.Second
	lookTries   = 3 // of one call within a look
)

// lookEvery is how long after the beginning of a look the next one begins: a full listing of a large fleet costs up to
// 60 calls, so it comes every 15 seconds, while a small or new fleet is watched closely.
func lookEvery(members int) time.Duration {
	if members > 0 && members < 100 {
		return 2 * time.Second
	}
	return 15 * time.Second
}

// observer makes looks. It is safe for concurrent use.
type observer struct {
	ecs  ECS
	pace *gate
}

// look lists a pool's tasks and describes those that the fleet (a copy) wants described. It fails as a whole: half a
// listing is none.
func (o *observer) look(ctx context.Context, pool Pool, known *fleet) (look, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	l := look{at: time.Now()}
	var err error
	l.listed, err = o.list(ctx, &ecs.ListTasksInput{Cluster: &pool.Cluster, Family: &pool.Family, DesiredStatus: types.DesiredStatusRunning})
	if err != nil {
		return look{}, fmt.Errorf("list tasks of pool %s: %w", pool.Name, err)
	}
	for arns := range slices.Chunk(known.wants(l.listed), maxDescribe) {
		out, err := paced(ctx, o.pace, func() (*ecs.DescribeTasksOutput, error) {
			return o.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &pool.Cluster, Tasks: arns})
		})
		if err != nil {
			return look{}, fmt.Errorf("describe tasks of pool %s: %w", pool.Name, err)
		}
		l.described = append(l.described, out.Tasks...)
		for _, failure := range out.Failures {
			if aws.ToString(failure.Reason) == "MISSING" {
				l.missing = append(l.missing, aws.ToString(failure.Arn))
			}
		}
	}
	return l, nil
}

// startedBy lists the tasks that an intent started and that have not been told to stop.
func (o *observer) startedBy(ctx context.Context, i Intent) ([]string, error) {
	request, err := i.decodeRequest()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	arns, err := o.list(ctx, &ecs.ListTasksInput{Cluster: request.Cluster, StartedBy: request.StartedBy})
	if err != nil {
		return nil, fmt.Errorf("list tasks of intent %s: %w", i.ID, err)
	}
	return arns, nil
}

// list reads all pages.
func (o *observer) list(ctx context.Context, in *ecs.ListTasksInput) ([]string, error) {
	var arns []string
	for {
		page, err := paced(ctx, o.pace, func() (*ecs.ListTasksOutput, error) { return o.ecs.ListTasks(ctx, in) })
		if err != nil {
			return nil, err
		}
		arns = append(arns, page.TaskArns...)
		if aws.ToString(page.NextToken) == "" {
			return arns, nil
		}
		in.NextToken = page.NextToken
	}
}

// paced makes a call when the gate lets it, and again when it is throttled or the service fails.
func paced[T any](ctx context.Context, pace *gate, call func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		var none T
		if err := pace.wait(ctx); err != nil {
			return none, err
		}
		out, err := call()
		class := awsclient.Classify(err)
		if class == awsclient.ClassThrottled {
			pace.empty()
		}
		again := class == awsclient.ClassThrottled || class.Ambiguous()
		if err == nil || !again || try == lookTries || ctx.Err() != nil {
			return out, err
		}
	}
}

// gate is a bucket that several goroutines wait at.
type gate struct {
	mu     sync.Mutex
	bucket *Bucket
}

// wait takes one token, when there is one.
func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		now := time.Now()
		granted, until := g.bucket.Take(now, 1), g.bucket.Until(now, 1)
		g.mu.Unlock()
		if granted == 1 {
			return nil
		}
		timer := time.NewTimer(until)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

func (g *gate) empty() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bucket.Empty(time.Now())
}
