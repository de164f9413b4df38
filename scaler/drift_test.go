package scaler

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestOnlyADifferenceThatStaysIsADrift(t *testing.T) {
	type count struct{ low, high, counted int }
	for name, c := range map[string]struct {
		counts []count
		want   int
		says   string
	}{
		"nothing counted":       {nil, 0, ""},
		"all agree":             {[]count{{5, 5, 5}, {5, 5, 5}, {5, 5, 5}}, 0, ""},
		"within what may be":    {[]count{{5, 9, 6}, {5, 9, 9}, {5, 9, 5}}, 0, ""},
		"not yet three times":   {[]count{{5, 5, 1}, {5, 5, 1}}, 0, ""},
		"fewer, three times":    {[]count{{3000, 3000, 2988}, {3000, 3100, 2990}, {3000, 3000, 2900}}, -10, "ECS counts 2,900 Fargate tasks in cluster hpc, 10 fewer than"},
		"more, three times":     {[]count{{0, 0, 25}, {0, 2, 25}, {0, 0, 26}}, 23, "ECS counts 26 Fargate tasks in cluster hpc, 23 more than Spate's pools have: they are other people's"},
		"first fewer then more": {[]count{{5, 5, 1}, {5, 5, 1}, {5, 5, 9}}, 0, ""},
		"it agrees again":       {[]count{{5, 5, 1}, {5, 5, 1}, {5, 5, 1}, {5, 5, 5}}, 0, ""},
	} {
		var d drift
		for _, x := range c.counts {
			d.saw(x.low, x.high, x.counted)
		}
		if got := d.tasks(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if says := d.sentence("hpc"); !strings.HasPrefix(says, c.says) || (says == "") != (c.says == "") {
			t.Errorf("%s: says %q", name, says)
		}
	}
}

func TestAClusterWithoutStatisticsHasNoCountNotZero(t *testing.T) {
	statistic := func(name, value string) types.KeyValuePair { return types.KeyValuePair{Name: &name, Value: &value} }
	both := []types.KeyValuePair{statistic("runningEC2TasksCount", "7"), statistic("runningFargateTasksCount", "30"), statistic("pendingFargateTasksCount", "4")}
	answer := func(clusters ...types.Cluster) *ecs.DescribeClustersOutput {
		return &ecs.DescribeClustersOutput{Clusters: clusters}
	}
	if n, err := fargateTasks(answer(types.Cluster{Statistics: both}), nil); n != 34 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for name, out := range map[string]*ecs.DescribeClustersOutput{
		"no cluster":    answer(),
		"no statistics": answer(types.Cluster{ClusterName: aws.String("hpc")}),
		"half of them":  answer(types.Cluster{Statistics: both[:2]}),
		"no number":     answer(types.Cluster{Statistics: []types.KeyValuePair{both[1], statistic("pendingFargateTasksCount", "few")}}),
	} {
		if n, err := fargateTasks(out, nil); err == nil {
			t.Errorf("%s: %d", name, n)
		}
	}
}
