package sandbox

import (
	"fmt"

	"spate/sandbox/dynamodb"
	"spate/sandbox/ecs"
	"spate/sandbox/s3"
	"spate/sandbox/sqs"
)

// Account is how the services behave for this account, beyond what each always does: limits, delays and chance. Each
// figure counts as it stands; [Instant] and [Usual] have them all.
type Account struct {
	ECS      ecs.Figures     `json:"ecs"`
	SQS      sqs.Habits      `json:"sqs"`
	DynamoDB dynamodb.Habits `json:"dynamodb"`
	S3       s3.Habits       `json:"s3"`
}

// Instant is an account with AWS's limits on a good day on which nothing takes time.
func Instant() Account { return Account{ECS: ecs.Instant(), DynamoDB: dynamodb.Prompt()} }

// Usual is an account as AWS's are: tasks take their time, some never start, and what is looked at lags.
func Usual() Account {
	return Account{ECS: ecs.Fargate(), SQS: sqs.Usual(), DynamoDB: dynamodb.Usual(), S3: s3.Usual()}
}

// Account is how the services behave now.
func (s *Sandbox) Account() Account {
	return Account{ECS: s.ecs.Figures(), SQS: s.queues.Habits(), DynamoDB: s.tables.Habits(), S3: s.objects.Habits()}
}

// SetAccount changes that from now on. What makes no sense is refused, and the services before it are changed all the
// same.
func (s *Sandbox) SetAccount(a Account) error {
	if err := s.ecs.SetFigures(a.ECS); err != nil {
		return fmt.Errorf("ecs: %w", err)
	}
	if err := s.queues.SetHabits(a.SQS); err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	if err := s.tables.SetHabits(a.DynamoDB); err != nil {
		return fmt.Errorf("dynamodb: %w", err)
	}
	if err := s.objects.SetHabits(a.S3); err != nil {
		return fmt.Errorf("s3: %w", err)
	}
	return nil
}
