package contract

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func definitionFacts() []Fact {
	return []Fact{
		{Name: "revisions-count-up", Sentence: "Each registration of a family is its next revision", Source: "Amazon ECS API reference, RegisterTaskDefinition", check: revisionsCountUp},
		{Name: "family-is-newest-active", Sentence: "A family's name stands for its newest ACTIVE revision", Source: apiDefinition, check: familyIsNewestActive},
		{Name: "definition-kept", Sentence: "A definition is described as it was registered", Source: apiDefinition, check: definitionKept},
		{Name: "definition-unknown", Sentence: "DescribeTaskDefinition of an unknown one is a ClientException", Source: apiDefinition, check: definitionUnknown},
		{Name: "definition-needs-containers", Sentence: "A definition without containers is refused", Source: "Amazon ECS API reference, RegisterTaskDefinition", check: definitionNeedsContainers},
		{Name: "definitions-listed", Sentence: "ListTaskDefinitions gives a family's active revisions, newest first if asked", Source: "Amazon ECS API reference, ListTaskDefinitions", check: definitionsListed},
	}
}

func revisionsCountUp(p *probe) {
	w := p.work()
	second := w.register()
	require(second.Revision == 2 && second.Status == types.TaskDefinitionStatusActive, "revision %d, %s", second.Revision, second.Status)
}

func (w *work) definition() *types.TaskDefinition {
	return must(w.client.DescribeTaskDefinition(w.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &w.family})).TaskDefinition
}

func familyIsNewestActive(p *probe) {
	w := p.work()
	second, third := w.register(), w.register()
	require(w.definition().Revision == third.Revision, "newest is %d", w.definition().Revision)
	must(w.client.DeregisterTaskDefinition(p.ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: third.TaskDefinitionArn}))
	require(w.definition().Revision == second.Revision, "newest active is %d", w.definition().Revision)
}

func definitionKept(p *probe) {
	w := p.work()
	d := w.definition()
	require(len(d.ContainerDefinitions) == 1 && aws.ToString(d.Cpu) == "256" && aws.ToString(d.Memory) == "512" && d.NetworkMode == types.NetworkModeAwsvpc, "definition %+v", d)
	c := d.ContainerDefinitions[0]
	require(aws.ToString(c.Image) == "worker@sha256:5a1e" && len(c.Command) == 2 && c.Command[0] == "sleep", "container %+v", c)
}

func definitionUnknown(p *probe) {
	_, err := p.ecs().DescribeTaskDefinition(p.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(p.name("none"))})
	refused(err, codes("ClientException"))
}

func definitionNeedsContainers(p *probe) {
	_, err := p.ecs().RegisterTaskDefinition(p.ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String(p.name("family")), ContainerDefinitions: []types.ContainerDefinition{},
	})
	refused(err, codes("ClientException"))
}

func definitionsListed(p *probe) {
	w := p.work()
	first, second := aws.ToString(w.definition().TaskDefinitionArn), aws.ToString(w.register().TaskDefinitionArn)
	out := must(w.client.ListTaskDefinitions(p.ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: &w.family, Sort: types.SortOrderDesc}))
	require(len(out.TaskDefinitionArns) == 2 && out.TaskDefinitionArns[0] == second && out.TaskDefinitionArns[1] == first, "listed %v", out.TaskDefinitionArns)
}
