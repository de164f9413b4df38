package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"spate/internal/awsclient"
)

// workerWatch counts workers by asking ECS, beside and without the scaler.
type workerWatch struct {
	*demo
	cluster, family string
	seen            map[string]bool // every task there ever was
	peak            int
	stop            chan chan error
}

// workerLooks is how often ECS is asked.
const workerLooks = 500 * time.Millisecond

func (d *demo) watchWorkers(ctx context.Context) *workerWatch {
	w := &workerWatch{demo: d, cluster: d.cfg.Pools[0].Cluster, family: d.cfg.Pools[0].TaskDefinition, seen: map[string]bool{}, stop: make(chan chan error)}
	go func() {
		ticker := time.NewTicker(workerLooks)
		defer ticker.Stop()
		var last error
		for {
			select {
			case <-ctx.Done():
				return
			case reply := <-w.stop:
				reply <- last
				return
			case <-ticker.C:
				_, last = w.look(ctx)
			}
		}
	}()
	return w
}

// look lists the tasks that run and remembers them.
func (w *workerWatch) look(ctx context.Context) (running int, err error) {
	tasks, err := w.list(ctx, ecstypes.DesiredStatusRunning)
	if err != nil {
		return 0, err
	}
	for _, arn := range tasks {
		w.seen[arn] = true
	}
	w.peak = max(w.peak, len(tasks))
	return len(tasks), nil
}

func (w *workerWatch) list(ctx context.Context, desired ecstypes.DesiredStatus) ([]string, error) {
	var arns []string
	pages := ecs.NewListTasksPaginator(w.clients.ECS, &ecs.ListTasksInput{Cluster: &w.cluster, Family: &w.family, DesiredStatus: desired})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, awsclient.Retried)
		if err != nil {
			return nil, fmt.Errorf("list workers: %w", err)
		}
		arns = append(arns, page.TaskArns...)
	}
	return arns, nil
}

// gone waits until all workers have left by themselves, and says how.
func (w *workerWatch) gone(ctx context.Context) (WorkerSummary, error) {
	reply := make(chan error, 1)
	select {
	case w.stop <- reply:
	case <-ctx.Done():
		return WorkerSummary{}, ctx.Err()
	}
	if err := <-reply; err != nil {
		return WorkerSummary{}, err
	}
	for {
		running, err := w.look(ctx)
		if err != nil {
			return WorkerSummary{}, err
		}
		if running == 0 {
			break
		}
		timer := time.NewTimer(workerLooks)
		select {
		case <-ctx.Done():
			timer.Stop()
			return WorkerSummary{}, ctx.Err()
		case <-timer.C:
		}
	}
	stopped, err := w.list(ctx, ecstypes.DesiredStatusStopped)
	if err != nil {
		return WorkerSummary{}, err
	}
	summary := WorkerSummary{Launched: len(stopped), Peak: w.peak}
	for start := 0; start < len(stopped); start += 100 {
		out, err := w.clients.ECS.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &w.cluster, Tasks: stopped[start:min(start+100, len(stopped))]}, awsclient.Retried)
		if err != nil {
			return WorkerSummary{}, fmt.Errorf("describe workers: %w", err)
		}
		for _, task := range out.Tasks {
			if len(task.Containers) > 0 && task.Containers[0].ExitCode != nil && aws.ToInt32(task.Containers[0].ExitCode) == 0 {
				summary.ExitedIdle++
			} else {
				summary.Failed++
			}
		}
	}
	return summary, nil
}
