package sqs

import (
	"context"
	"time"
)

type handleInput struct {
	QueueURL      string `json:"QueueUrl"`
	ReceiptHandle string `json:"ReceiptHandle"`
}

func (s *Server) deleteMessage(_ context.Context, in handleInput) (empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return empty{}, err
	}
	return empty{}, s.delete(q, in.ReceiptHandle)
}

// delete removes the message of a handle. That may let waiting polls pass the
// limit of messages in flight. The lock must be held.
func (s *Server) delete(q *queue, handle string) error {
	id, receive, err := parseHandle(handle)
	if err != nil {
		return err
	}
	q.remove(id, receive)
	s.settle(q, time.Now())
	return nil
}

type visibilityInput struct {
	QueueURL          string `json:"QueueUrl"`
	ReceiptHandle     string `json:"ReceiptHandle"`
	VisibilityTimeout *int   `json:"VisibilityTimeout"`
}

func (s *Server) changeMessageVisibility(_ context.Context, in visibilityInput) (empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return empty{}, err
	}
	if in.VisibilityTimeout == nil {
		return empty{}, errMissing("VisibilityTimeout")
	}
	return empty{}, s.changeVisibility(q, in.ReceiptHandle, *in.VisibilityTimeout)
}

func (s *Server) changeVisibility(q *queue, handle string, timeoutSeconds int) error {
	visibility, err := visibilityOf(timeoutSeconds)
	if err != nil {
		return err
	}
	id, receive, err := parseHandle(handle)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := q.changeVisibility(now, id, receive, visibility); err != nil {
		return err
	}
	s.settle(q, now)
	return nil
}

type handleBatchInput struct {
	QueueURL string        `json:"QueueUrl"`
	Entries  []handleEntry `json:"Entries"`
}

type handleEntry struct {
	ID                string `json:"Id"`
	ReceiptHandle     string `json:"ReceiptHandle"`
	VisibilityTimeout int    `json:"VisibilityTimeout"`
}

func (e handleEntry) entryID() string { return e.ID }

type entryResult struct {
	ID string `json:"Id"`
}

func (s *Server) deleteMessageBatch(ctx context.Context, in handleBatchInput) (batchOutput[entryResult], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return batchOutput[entryResult]{}, err
	}
	return eachEntry(ctx, in.Entries, func(entry handleEntry) (entryResult, error) {
		return entryResult{ID: entry.ID}, s.delete(q, entry.ReceiptHandle)
	})
}

func (s *Server) changeMessageVisibilityBatch(ctx context.Context, in handleBatchInput) (batchOutput[entryResult], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return batchOutput[entryResult]{}, err
	}
	return eachEntry(ctx, in.Entries, func(entry handleEntry) (entryResult, error) {
		return entryResult{ID: entry.ID}, s.changeVisibility(q, entry.ReceiptHandle, entry.VisibilityTimeout)
	})
}
