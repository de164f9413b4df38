package queue_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"spate/internal/queue"
)

func TestTheDeadLetterQueueIsTheOneThatTheRedrivePolicyNames(t *testing.T) {
	s := serve(t)
	none, err := s.DeadLetters(t.Context())
	if err != nil || none != nil {
		t.Fatalf("a queue without redrive policy has dead letters in %v, %v", none, err)
	}
	dead, err := s.client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: aws.String("graveyard")})
	if err != nil {
		t.Fatal(err)
	}
	url := s.URL()
	_, err = s.client.SetQueueAttributes(t.Context(), &awssqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:graveyard","maxReceiveCount":"20"}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.DeadLetters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := queue.At(s.client, *dead.QueueUrl); found.URL() != want.URL() {
		t.Errorf("dead letters in %s, want %s", found.URL(), want.URL())
	}
}
