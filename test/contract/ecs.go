package contract

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

const (
	apiRunTask       = "Amazon ECS API reference, RunTask"
	apiListTasks     = "Amazon ECS API reference, ListTasks"
	apiDescribeTasks = "Amazon ECS API reference, DescribeTasks"
	apiStopTask      = "Amazon ECS API reference, StopTask"
	apiTask          = "Amazon ECS API reference, Task"
	apiClusters      = "Amazon ECS API reference, DescribeClusters"
	apiDefinition    = "Amazon ECS API reference, DescribeTaskDefinition"
	idempotency      = "Amazon ECS API reference, Ensuring idempotency"
	fargateThrottles = "Amazon ECS developer guide, AWS Fargate throttling quotas"
	coral            = "AWS JSON 1.1 protocol (Smithy)"
	ownDocs          = "docs/sandbox.md; AWS refuses"
)

func ecsFacts() []Fact {
	return slices.Concat(launchFacts(), taskFacts(), definitionFacts())
}

// work is a cluster, and a task definition that sleeps.
type work struct {
	*probe
	client  *ecs.Client
	cluster string
	family  string
}

func (p *probe) ecs(options ...func(*ecs.Options)) *ecs.Client {
	return ecs.NewFromConfig(p.target.config(), options...)
}

// work makes a cluster and a definition that runs the command; its tasks are stopped in the end.
func (p *probe) work(command ...string) *work {
	w := &work{probe: p, client: p.ecs(), cluster: p.makeCluster(), family: p.name("family")}
	w.register(command...)
	return w
}

func (p *probe) makeCluster() string {
	name := p.name("cluster")
	must(p.ecs().CreateCluster(p.ctx, &ecs.CreateClusterInput{ClusterName: &name, CapacityProviders: []string{"FARGATE", "FARGATE_SPOT"}}))
	return name
}

// register makes a revision of the family.
func (w *work) register(command ...string) *types.TaskDefinition {
	if len(command) == 0 {
		command = []string{"sleep", "300"}
	}
	out := must(w.client.RegisterTaskDefinition(w.ctx, &ecs.RegisterTaskDefinitionInput{
		Family: &w.family, Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("main"), Image: aws.String("worker@sha256:5a1e"), Memory: aws.Int32(512), Essential: aws.Bool(true), Command: command,
		}},
	}))
	return out.TaskDefinition
}

// request asks for one task.
func (w *work) request() *ecs.RunTaskInput {
	return &ecs.RunTaskInput{
		Cluster: &w.cluster, TaskDefinition: &w.family, Count: aws.Int32(1), LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: w.network(),
	}
}

func (p *probe) network() *types.NetworkConfiguration {
	subnet := p.target.Subnet
	if subnet == "" {
		subnet = "subnet-a"
	}
	return &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{subnet}, SecurityGroups: []string{}}}
}

// launch launches tasks and gives their ARNs.
func (w *work) launch(count int32, change func(*ecs.RunTaskInput)) []string {
	in := w.request()
	in.Count = &count
	if change != nil {
		change(in)
	}
	out := must(w.client.RunTask(w.ctx, in))
	require(len(out.Tasks) == int(count) && len(out.Failures) == 0, "launched %d of %d, failures %v", len(out.Tasks), count, reasons(out.Failures))
	return arns(out.Tasks)
}

func (w *work) describe(arns ...string) []types.Task {
	return must(w.client.DescribeTasks(w.ctx, &ecs.DescribeTasksInput{Cluster: &w.cluster, Tasks: arns})).Tasks
}

// until describes one task until it has the status.
func (w *work) until(arn, status string) types.Task {
	var seen types.Task
	w.eventually("task is "+status, func() bool {
		tasks := w.describe(arn)
		if len(tasks) == 1 {
			seen = tasks[0]
		}
		return aws.ToString(seen.LastStatus) == status
	})
	return seen
}

// listed lists tasks, all pages of them.
func (w *work) listed(change func(*ecs.ListTasksInput)) []string {
	in := &ecs.ListTasksInput{Cluster: &w.cluster}
	if change != nil {
		change(in)
	}
	var all []string
	for pages := ecs.NewListTasksPaginator(w.client, in); pages.HasMorePages(); {
		all = append(all, must(pages.NextPage(w.ctx)).TaskArns...)
	}
	return all
}

func arns(tasks []types.Task) []string {
	var out []string
	for _, t := range tasks {
		out = append(out, aws.ToString(t.TaskArn))
	}
	slices.Sort(out)
	return out
}

func reasons(failures []types.Failure) []string {
	var out []string
	for _, f := range failures {
		out = append(out, aws.ToString(f.Reason))
	}
	return out
}

// same says whether two lists have the same members.
func same(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
