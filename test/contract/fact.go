package contract

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The services, as Fact.Service names them.
const (
	ECS      = "ecs"
	SQS      = "sqs"
	DynamoDB = "dynamodb"
	Streams  = "streams"
	S3       = "s3"
	Redis    = "redis"
)

// Services are all of them, in the order in which tables show them.
func Services() []string { return []string{ECS, SQS, DynamoDB, Streams, S3, Redis} }

// Fact is one thing that Spate relies on.
type Fact struct {
	// Service is one of Services.
	Service string
	// Name is the fact's in its service, and that of its test.
	Name string
	// Sentence is what a person reads.
	Sentence string
	// Source is the document that promises it.
	Source string
	// Alone says that the fact uses up what others share, such as a launch bucket: it runs by itself, after them.
	Alone bool

	check func(*probe)
}

// ID is the fact's among all, such as "ecs/unknown-cluster".
func (f Fact) ID() string { return f.Service + "/" + f.Name }

// Facts are all facts, service by service.
func Facts() []Fact {
	return slices.Concat(
		of(ECS, ecsFacts()), of(SQS, sqsFacts()), of(DynamoDB, dynamodbFacts()), of(Streams, streamsFacts()), of(S3, s3Facts()), of(Redis, redisFacts()),
	)
}

// of puts the facts under a service, those that run alone last.
func of(service string, facts []Fact) []Fact {
	for i := range facts {
		facts[i].Service = service
	}
	slices.SortStableFunc(facts, func(a, b Fact) int {
		switch {
		case a.Alone == b.Alone:
			return 0
		case b.Alone:
			return -1
		}
		return 1
	})
	return facts
}

// patience bounds one fact: the longest poll and the longest time to live that any server takes fit in.
const patience = time.Minute

// Check says how the server at the target breaks the fact, or nil when it holds there.
func (f Fact) Check(ctx context.Context, target Target) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := &probe{ctx: ctx, target: target}
	defer func() {
		for _, undo := range slices.Backward(p.undo) {
			undo()
		}
	}()
	defer func() {
		switch end := recover().(type) {
		case nil:
		case broken:
			err = fmt.Errorf("%s: %w", f.ID(), end.error)
		default:
			panic(end)
		}
	}()
	f.check(p)
	return nil
}
