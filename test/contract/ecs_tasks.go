package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func taskFacts() []Fact {
	return []Fact{
		{Name: "task-starts", Sentence: "A task comes to RUNNING and tells when it was created and started", Source: "Amazon ECS developer guide, Task lifecycle", check: taskStarts},
		{Name: "list-by-started-by", Sentence: "ListTasks with `startedBy` gives the tasks that a request launched", Source: apiListTasks, check: listByStartedBy},
		{Name: "started-by-alone", Sentence: "`startedBy` must be the only filter of ListTasks", Source: apiListTasks, check: startedByAlone},
		{Name: "list-by-family", Sentence: "ListTasks with `family` gives the tasks of that definition family alone", Source: apiListTasks, check: listByFamily},
		{Name: "list-pending", Sentence: "ListTasks with desired status PENDING gives nothing", Source: apiListTasks, check: listPending},
		{Name: "list-running", Sentence: "ListTasks without a status leaves stopped tasks out", Source: apiListTasks, check: listRunning},
		{Name: "list-stopped", Sentence: "Recently stopped tasks are listed by desired status STOPPED", Source: apiListTasks, check: listStopped},
		{Name: "list-pages", Sentence: "Pages of ListTasks give each task once", Source: apiListTasks, check: listPages},
		{Name: "list-page-of-100", Sentence: "A page of more than 100 is refused", Source: apiListTasks, check: listPageOf100},
		{Name: "list-bad-token", Sentence: "A token of no page is refused", Source: apiListTasks, check: listBadToken},
		{Name: "list-unknown-cluster", Sentence: "ListTasks of an unknown cluster is a ClusterNotFoundException", Source: apiListTasks, check: listUnknownCluster},
		{Name: "describe-missing", Sentence: "DescribeTasks answers an unknown task with a failure MISSING, and the others", Source: apiDescribeTasks, check: describeMissing},
		{Name: "describe-100", Sentence: "DescribeTasks refuses more than 100 tasks", Source: apiDescribeTasks, check: describe100},
		{Name: "describe-unknown-cluster", Sentence: "DescribeTasks of an unknown cluster is a ClusterNotFoundException", Source: apiDescribeTasks, check: describeUnknownCluster},
		{Name: "describe-request", Sentence: "A task tells its definition's revision, `startedBy`, group and overrides", Source: apiTask, check: describeRequest},
		{Name: "stop-tells-why", Sentence: "A task that was stopped tells the reason given, and the code UserInitiated", Source: apiStopTask, check: stopTellsWhy},
		{Name: "stop-unknown", Sentence: "StopTask of an unknown task is refused", Source: apiStopTask, check: stopUnknown},
		{Name: "exit-tells-code", Sentence: "A task whose process ended is STOPPED, with code EssentialContainerExited and the exit code", Source: apiTask, check: exitTellsCode},
		{Name: "cluster-counts", Sentence: "DescribeClusters with STATISTICS counts running and pending Fargate tasks", Source: apiClusters, check: clusterCounts},
		{Name: "cluster-missing", Sentence: "DescribeClusters answers an unknown cluster with a failure MISSING", Source: apiClusters, check: clusterMissing},
		{Name: "cluster-twice", Sentence: "Creating a cluster again gives the one there is", Source: "Amazon ECS API reference, CreateCluster", check: clusterTwice},
	}
}

func taskStarts(p *probe) {
	w := p.work()
	task := w.until(w.launch(1, nil)[0], "RUNNING")
	require(task.CreatedAt != nil && task.StartedAt != nil && !task.StartedAt.Before(*task.CreatedAt), "created %v, started %v", task.CreatedAt, task.StartedAt)
}

func listByStartedBy(p *probe) {
	w, intent := p.work(), p.name("intent")
	w.launch(1, nil)
	mine := w.launch(2, func(in *ecs.RunTaskInput) { in.StartedBy = &intent })
	p.eventually("the tasks of the request are listed", func() bool {
		return same(mine, w.listed(func(in *ecs.ListTasksInput) { in.StartedBy = &intent }))
	})
}

func startedByAlone(p *probe) {
	w := p.work()
	_, err := w.client.ListTasks(p.ctx, &ecs.ListTasksInput{Cluster: &w.cluster, StartedBy: aws.String("somebody"), Family: &w.family})
	refused(err, invalid())
}

func listByFamily(p *probe) {
	w := p.work()
	other := *w
	other.family = p.name("family")
	other.register()
	mine, _ := w.launch(1, nil), other.launch(1, nil)
	p.eventually("the family's task is listed", func() bool {
		return same(mine, w.listed(func(in *ecs.ListTasksInput) { in.Family = &w.family }))
	})
}

func listPending(p *probe) {
	w := p.work()
	launched := w.launch(1, nil)
	p.eventually("the task is listed", func() bool { return same(launched, w.listed(nil)) })
	found := w.listed(func(in *ecs.ListTasksInput) { in.DesiredStatus = types.DesiredStatusPending })
	require(len(found) == 0, "PENDING lists %v", found)
}

func (w *work) stop(arn, reason string) {
	must(w.client.StopTask(w.ctx, &ecs.StopTaskInput{Cluster: &w.cluster, Task: &arn, Reason: &reason}))
}

func listRunning(p *probe) {
	w := p.work()
	both := w.launch(2, nil)
	w.stop(both[0], "enough")
	p.eventually("one task is listed", func() bool { return same(both[1:], w.listed(nil)) })
}

func listStopped(p *probe) {
	w := p.work()
	both := w.launch(2, nil)
	w.stop(both[0], "enough")
	p.eventually("the stopped task is listed", func() bool {
		return same(both[:1], w.listed(func(in *ecs.ListTasksInput) { in.DesiredStatus = types.DesiredStatusStopped }))
	})
}

func listPages(p *probe) {
	w := p.work()
	launched := w.launch(7, nil)
	p.eventually("seven tasks are listed", func() bool { return same(launched, w.listed(nil)) })
	first := must(w.client.ListTasks(p.ctx, &ecs.ListTasksInput{Cluster: &w.cluster, MaxResults: aws.Int32(3)}))
	require(len(first.TaskArns) == 3 && first.NextToken != nil, "a page of 3 has %d", len(first.TaskArns))
	found := w.listed(func(in *ecs.ListTasksInput) { in.MaxResults = aws.Int32(3) })
	require(same(launched, found), "pages gave %v", found)
}

func listPageOf100(p *probe) {
	w := p.work()
	_, err := w.client.ListTasks(p.ctx, &ecs.ListTasksInput{Cluster: &w.cluster, MaxResults: aws.Int32(101)})
	refused(err, invalid())
}

func listBadToken(p *probe) {
	w := p.work()
	_, err := w.client.ListTasks(p.ctx, &ecs.ListTasksInput{Cluster: &w.cluster, NextToken: aws.String("no-such-page")})
	refused(err, invalid())
}

func listUnknownCluster(p *probe) {
	_, err := p.ecs().ListTasks(p.ctx, &ecs.ListTasksInput{Cluster: aws.String(p.name("none"))})
	refused(err, codes("ClusterNotFoundException"))
}

// stranger is the ARN of a task that there is not, beside one that there is.
func stranger(arn string) string {
	return arn[:strings.LastIndexByte(arn, '/')+1] + strings.Repeat("0", 32)
}

func describeMissing(p *probe) {
	w := p.work()
	known := w.launch(1, nil)[0]
	w.until(known, "RUNNING")
	out := must(w.client.DescribeTasks(p.ctx, &ecs.DescribeTasksInput{Cluster: &w.cluster, Tasks: []string{known, stranger(known)}}))
	require(same(arns(out.Tasks), []string{known}), "described %v", arns(out.Tasks))
	require(len(out.Failures) == 1 && aws.ToString(out.Failures[0].Reason) == "MISSING" && aws.ToString(out.Failures[0].Arn) == stranger(known),
		"failures: %v", reasons(out.Failures))
}

func describe100(p *probe) {
	w := p.work()
	var ids []string
	for i := range 101 {
		ids = append(ids, fmt.Sprintf("%032x", i))
	}
	_, err := w.client.DescribeTasks(p.ctx, &ecs.DescribeTasksInput{Cluster: &w.cluster, Tasks: ids})
	refused(err, invalid())
}

func describeUnknownCluster(p *probe) {
	_, err := p.ecs().DescribeTasks(p.ctx, &ecs.DescribeTasksInput{Cluster: aws.String(p.name("none")), Tasks: []string{strings.Repeat("0", 32)}})
	refused(err, codes("ClusterNotFoundException"))
}

func describeRequest(p *probe) {
	w := p.work()
	revision := w.register()
	task := w.until(w.launch(1, func(in *ecs.RunTaskInput) {
		in.StartedBy, in.Overrides = aws.String("intent-1"), override("main", "changed")
	})[0], "RUNNING")
	require(aws.ToString(task.TaskDefinitionArn) == aws.ToString(revision.TaskDefinitionArn), "definition %s", aws.ToString(task.TaskDefinitionArn))
	require(aws.ToString(task.StartedBy) == "intent-1" && aws.ToString(task.Group) == "family:"+w.family,
		"started by %s, group %s", aws.ToString(task.StartedBy), aws.ToString(task.Group))
	require(task.Overrides != nil && len(task.Overrides.ContainerOverrides) == 1 && slices.ContainsFunc(task.Overrides.ContainerOverrides[0].Environment,
		func(e types.KeyValuePair) bool { return aws.ToString(e.Value) == "changed" }), "overrides %+v", task.Overrides)
}

func stopTellsWhy(p *probe) {
	w := p.work()
	arn := w.launch(1, nil)[0]
	w.until(arn, "RUNNING")
	w.stop(arn, "the run was cancelled")
	task := w.until(arn, "STOPPED")
	require(aws.ToString(task.StoppedReason) == "the run was cancelled" && task.StopCode == types.TaskStopCodeUserInitiated,
		"code %s, reason %q", task.StopCode, aws.ToString(task.StoppedReason))
}

func stopUnknown(p *probe) {
	w := p.work()
	_, err := w.client.StopTask(p.ctx, &ecs.StopTaskInput{Cluster: &w.cluster, Task: aws.String(strings.Repeat("0", 32))})
	refused(err, invalid(), "not found")
}

func exitTellsCode(p *probe) {
	w := p.work("sh", "-c", "exit 3")
	task := w.until(w.launch(1, nil)[0], "STOPPED")
	require(task.StopCode == types.TaskStopCodeEssentialContainerExited && strings.Contains(aws.ToString(task.StoppedReason), "Essential container"),
		"code %s, reason %q", task.StopCode, aws.ToString(task.StoppedReason))
	require(len(task.Containers) == 1 && aws.ToInt32(task.Containers[0].ExitCode) == 3, "containers %+v", task.Containers)
}

func (w *work) counts() map[string]string {
	out := must(w.client.DescribeClusters(w.ctx, &ecs.DescribeClustersInput{
		Clusters: []string{w.cluster}, Include: []types.ClusterField{types.ClusterFieldStatistics},
	}))
	require(len(out.Clusters) == 1, "%d clusters", len(out.Clusters))
	counts := map[string]string{}
	for _, s := range out.Clusters[0].Statistics {
		counts[aws.ToString(s.Name)] = aws.ToString(s.Value)
	}
	return counts
}

func clusterCounts(p *probe) {
	w := p.work()
	w.launch(3, nil)
	p.eventually("three running tasks are counted", func() bool {
		counts := w.counts()
		return counts["runningFargateTasksCount"] == "3" && counts["pendingFargateTasksCount"] == "0"
	})
}

func clusterMissing(p *probe) {
	out := must(p.ecs().DescribeClusters(p.ctx, &ecs.DescribeClustersInput{Clusters: []string{p.name("none")}}))
	require(len(out.Clusters) == 0 && slices.Equal(reasons(out.Failures), []string{"MISSING"}), "failures: %v", reasons(out.Failures))
}

func clusterTwice(p *probe) {
	name := p.makeCluster()
	again := must(p.ecs().CreateCluster(p.ctx, &ecs.CreateClusterInput{ClusterName: &name}))
	require(aws.ToString(again.Cluster.ClusterName) == name && aws.ToString(again.Cluster.Status) == "ACTIVE", "cluster %+v", again.Cluster)
}
