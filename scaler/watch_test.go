package scaler

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// startingHands show one task of each family, by the family's name, which never gets to run.
type startingHands struct {
	idleHands
	described map[string]int // how often, by task
	answers   []func(now time.Time) error
}

func (h *startingHands) ListTasks(in *ecs.ListTasksInput, done func(time.Time, *ecs.ListTasksOutput, error) error) {
	h.answers = append(h.answers, func(now time.Time) error {
		return done(now, &ecs.ListTasksOutput{TaskArns: []string{aws.ToString(in.Family)}}, nil)
	})
}

func (h *startingHands) DescribeTasks(in *ecs.DescribeTasksInput, done func(time.Time, *ecs.DescribeTasksOutput, error) error) {
	out := &ecs.DescribeTasksOutput{}
	for _, arn := range in.Tasks {
		h.described[arn]++
		out.Tasks = append(out.Tasks, types.Task{TaskArn: &arn, LastStatus: aws.String("PENDING"), DesiredStatus: aws.String("RUNNING")})
	}
	h.answers = append(h.answers, func(now time.Time) error { return done(now, out, nil) })
}

func (h *startingHands) DescribeClusters(*ecs.DescribeClustersInput, func(time.Time, *ecs.DescribeClustersOutput, error) error) {
}

func TestManyPoolsAreWatchedInTurn(t *testing.T) {
	const pools, seconds = 40, 120
	h := &startingHands{described: map[string]int{}}
	p := newStage(t, 0).pool
	var all []Pool
	for n := range pools {
		p.Name, p.Family = fmt.Sprintf("pool-%02d", n), fmt.Sprintf("family-%02d", n)
		all = append(all, p)
	}
	e := idleEngine(t, h, all...)
	for tenth := range seconds * 10 {
		now := planNow.Add(time.Duration(tenth) * 100 * time.Millisecond)
		if err := e.Turn(now); err != nil {
			t.Fatal(err)
		}
		answers := h.answers
		h.answers = nil
		for _, answer := range answers {
			if err := answer(now); err != nil {
				t.Fatal(err)
			}
		}
	}
	least, most := seconds, 0
	for _, p := range all {
		least, most = min(least, h.described[p.Family]), max(most, h.described[p.Family])
	}
	t.Logf("each pool's task was described %d to %d times in %d seconds", least, most, seconds)
	if least < most*9/10 || least < seconds/7 {
		t.Errorf("some pool's task was described %d times, and another's %d times", least, most)
	}
}
