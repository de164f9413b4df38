package contract

import (
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func launchFacts() []Fact {
	return []Fact{
		{Name: "run-task-launches-what-it-says", Sentence: "RunTask launches `count` tasks and answers with each", Source: apiRunTask, check: runTaskLaunches},
		{Name: "ten-tasks-a-call", Sentence: "More than ten tasks in one RunTask are refused", Source: apiRunTask, check: elevenTasksAreRefused},
		{Name: "no-tasks-a-call", Sentence: "A count of zero is refused", Source: apiRunTask, check: noTasksAreRefused},
		{Name: "token-repeats", Sentence: "The identical request with the same `clientToken` launches nothing and answers as before", Source: idempotency, check: tokenRepeats},
		{Name: "token-conflict", Sentence: "A `clientToken` with other parameters is a ConflictException that names the tasks", Source: idempotency, check: tokenConflicts},
		{Name: "token-is-of-a-cluster", Sentence: "The same `clientToken` in another cluster is another request", Source: idempotency, check: tokenIsOfACluster},
		{Name: "token-length", Sentence: "A `clientToken` of more than 64 characters is refused", Source: idempotency, check: longTokenIsRefused},
		{Name: "started-by-length", Sentence: "A `startedBy` of more than 128 characters is refused", Source: apiRunTask, check: longStartedByIsRefused},
		{Name: "overrides-length", Sentence: "Overrides of more than 8,192 characters are refused", Source: apiRunTask, check: longOverridesAreRefused},
		{Name: "overrides-name-a-container", Sentence: "An override for a container that the definition has not is refused", Source: apiRunTask, check: strangeOverrideIsRefused},
		{Name: "unknown-cluster", Sentence: "RunTask in an unknown cluster is a ClusterNotFoundException", Source: apiRunTask, check: unknownCluster},
		{Name: "unknown-cluster-first", Sentence: "The cluster is looked for before definition and network", Source: apiRunTask, check: unknownClusterFirst},
		{Name: "unknown-definition", Sentence: "RunTask with an unknown definition is a ClientException", Source: apiRunTask, check: unknownDefinition},
		{Name: "inactive-definition", Sentence: "RunTask with a deregistered revision is a ClientException", Source: apiRunTask, check: inactiveDefinition},
		{Name: "network-is-needed", Sentence: "A definition with awsvpc needs a network configuration", Source: apiRunTask, check: networkIsNeeded},
		{Name: "type-or-strategy", Sentence: "Launch type and capacity provider strategy exclude each other", Source: apiRunTask, check: typeOrStrategy},
		{Name: "strategy-names-the-provider", Sentence: "A task launched by a strategy tells its capacity provider", Source: apiTask, check: strategyNamesTheProvider},
		{Name: "strategy-spreads", Sentence: "Base and weight say how many tasks each provider gets", Source: "Amazon ECS API reference, CapacityProviderStrategyItem", check: strategySpreads},
		{Name: "launches-are-throttled", Sentence: "A burst beyond the launch bucket (by default 100 tasks at once, then 20 a second) is a ThrottlingException", Source: fargateThrottles, Alone: true, check: launchesAreThrottled},
		{Name: "spot-has-its-own-bucket", Sentence: "Launches on Spot go on while those On-Demand are throttled", Source: fargateThrottles, Alone: true, check: spotHasItsOwnBucket},
		{Name: "unknown-operation", Sentence: "An unknown operation is an UnknownOperationException", Source: coral, check: unknownECSOperation},
		{Name: "unsigned", Sentence: "A request without a signature is answered on loopback", Source: ownDocs, check: unsignedECS},
	}
}

func invalid() []string { return codes("InvalidParameterException") }

func runTaskLaunches(p *probe) {
	w := p.work()
	launched := w.launch(3, nil)
	p.eventually("three tasks are described", func() bool { return same(launched, arns(w.describe(launched...))) })
}

// tries a changed request and gives the error.
func (w *work) try(change func(*ecs.RunTaskInput)) error {
	in := w.request()
	change(in)
	_, err := w.client.RunTask(w.ctx, in)
	return err
}

func elevenTasksAreRefused(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) { in.Count = aws.Int32(11) }), invalid())
}

func noTasksAreRefused(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) { in.Count = aws.Int32(0) }), invalid())
}

func withToken(token string) func(*ecs.RunTaskInput) {
	return func(in *ecs.RunTaskInput) { in.ClientToken = &token }
}

func tokenRepeats(p *probe) {
	w, token := p.work(), p.name("token")
	first := w.launch(2, withToken(token))
	second := w.launch(2, withToken(token))
	require(same(first, second), "first %v, again %v", first, second)
	p.eventually("two tasks are listed", func() bool { return same(first, w.listed(nil)) })
}

func tokenConflicts(p *probe) {
	w, token := p.work(), p.name("token")
	first := w.launch(2, withToken(token))
	err := w.try(func(in *ecs.RunTaskInput) { in.ClientToken, in.Count = &token, aws.Int32(3) })
	refused(err, codes("ConflictException"))
	conflict, ok := errors.AsType[*types.ConflictException](err)
	require(ok && len(conflict.ResourceIds) == len(first), "the exception names %v", conflict)
	for _, id := range conflict.ResourceIds { // ARNs, or ids
		require(slices.ContainsFunc(first, func(arn string) bool { return strings.HasSuffix(arn, id) }), "%s is none of %v", id, first)
	}
}

func tokenIsOfACluster(p *probe) {
	w, token := p.work(), p.name("token")
	other := *w
	other.cluster = p.makeCluster()
	first, second := w.launch(1, withToken(token)), other.launch(1, withToken(token))
	require(first[0] != second[0], "both clusters have %s", first[0])
}

func longTokenIsRefused(p *probe) {
	refused(p.work().try(withToken(strings.Repeat("t", 65))), invalid())
}

func longStartedByIsRefused(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) { in.StartedBy = aws.String(strings.Repeat("s", 129)) }), invalid())
}

func override(name, value string) *types.TaskOverride {
	return &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
		Name: &name, Environment: []types.KeyValuePair{{Name: aws.String("V"), Value: &value}},
	}}}
}

func longOverridesAreRefused(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) { in.Overrides = override("main", strings.Repeat("v", 8192)) }), invalid())
}

func strangeOverrideIsRefused(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) { in.Overrides = override("nobody", "v") }), invalid())
}

func unknownCluster(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) { in.Cluster = aws.String(p.name("none")) }), codes("ClusterNotFoundException"))
}

func unknownClusterFirst(p *probe) {
	_, err := p.ecs().RunTask(p.ctx, &ecs.RunTaskInput{Cluster: aws.String(p.name("none")), TaskDefinition: aws.String(p.name("none"))})
	refused(err, codes("ClusterNotFoundException"))
}

func unknownDefinition(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) { in.TaskDefinition = aws.String(p.name("none")) }), codes("ClientException"))
}

func inactiveDefinition(p *probe) {
	w := p.work()
	arn := w.register().TaskDefinitionArn
	must(w.client.DeregisterTaskDefinition(p.ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: arn}))
	refused(w.try(func(in *ecs.RunTaskInput) { in.TaskDefinition = arn }), codes("ClientException"))
}

func networkIsNeeded(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) { in.NetworkConfiguration = nil }), invalid())
}

func strategy(items ...types.CapacityProviderStrategyItem) func(*ecs.RunTaskInput) {
	return func(in *ecs.RunTaskInput) { in.LaunchType, in.CapacityProviderStrategy = "", items }
}

func share(provider string, base, weight int32) types.CapacityProviderStrategyItem {
	return types.CapacityProviderStrategyItem{CapacityProvider: &provider, Base: base, Weight: weight}
}

func typeOrStrategy(p *probe) {
	refused(p.work().try(func(in *ecs.RunTaskInput) {
		in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{share("FARGATE", 0, 1)}
	}), invalid())
}

// providers launches by a strategy and counts the tasks by provider.
func (w *work) providers(count int32, items ...types.CapacityProviderStrategyItem) map[string]int {
	launched := w.launch(count, strategy(items...))
	var tasks []types.Task
	w.eventually("the tasks are described", func() bool {
		tasks = w.describe(launched...)
		return len(tasks) == len(launched)
	})
	counts := map[string]int{}
	for _, t := range tasks {
		counts[aws.ToString(t.CapacityProviderName)]++
	}
	return counts
}

func strategyNamesTheProvider(p *probe) {
	counts := p.work().providers(2, share("FARGATE_SPOT", 0, 1))
	require(counts["FARGATE_SPOT"] == 2, "tasks by provider: %v", counts)
}

func strategySpreads(p *probe) {
	counts := p.work().providers(8, share("FARGATE", 2, 1), share("FARGATE_SPOT", 0, 2))
	require(counts["FARGATE"] == 4 && counts["FARGATE_SPOT"] == 4, "base 2 and weights 1 to 2 of 8 gave %v", counts)
}

// flood launches ten at a time, far more than fits in a bucket, and gives the first refusal.
func (w *work) flood(provider string) error {
	client := w.ecs(func(o *ecs.Options) { o.Retryer = aws.NopRetryer{} })
	for range 60 {
		in := w.request()
		in.Count = aws.Int32(10)
		strategy(share(provider, 0, 1))(in)
		if _, err := client.RunTask(w.ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func launchesAreThrottled(p *probe) {
	refused(p.work("sleep", "1").flood("FARGATE"), codes("ThrottlingException"))
}

func spotHasItsOwnBucket(p *probe) {
	w := p.work("sleep", "1")
	refused(w.flood("FARGATE"), codes("ThrottlingException"))
	w.launch(10, strategy(share("FARGATE_SPOT", 0, 1)))
}

func unknownECSOperation(p *probe) {
	_, err := p.ecs(ecs.WithAPIOptions(unknownOperation)).ListClusters(p.ctx, &ecs.ListClustersInput{})
	refused(err, codes("UnknownOperationException"))
}

func unsignedECS(p *probe) {
	must(p.ecs(func(o *ecs.Options) { o.Credentials = aws.AnonymousCredentials{} }).ListClusters(p.ctx, &ecs.ListClustersInput{}))
}
