package sqs

import (
	"context"
	"strconv"
	"time"
)

// outgoing is the content of one message to send.
type outgoing struct {
	MessageBody             string                    `json:"MessageBody"`
	DelaySeconds            *int                      `json:"DelaySeconds"`
	MessageAttributes       map[string]attributeValue `json:"MessageAttributes"`
	MessageSystemAttributes map[string]attributeValue `json:"MessageSystemAttributes"`
	MessageGroupID          string                    `json:"MessageGroupId"`
}

type sendInput struct {
	QueueURL string `json:"QueueUrl"`
	outgoing
}

type sendOutput struct {
	MessageID              string `json:"MessageId"`
	MD5OfMessageBody       string `json:"MD5OfMessageBody"`
	MD5OfMessageAttributes string `json:"MD5OfMessageAttributes,omitempty"`
}

func (s *Server) sendMessage(_ context.Context, in sendInput) (sendOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return sendOutput{}, err
	}
	return s.send(q, in.outgoing)
}

// send puts one message into the queue. The lock must be held.
func (s *Server) send(q *queue, out outgoing) (sendOutput, error) {
	size, err := validateContent(out.MessageBody, out.MessageAttributes)
	if err != nil {
		return sendOutput{}, err
	}
	if size > q.settings.maxBytes {
		return sendOutput{}, errTooLong(q.settings.maxBytes)
	}
	delay := q.settings.delay
	if out.DelaySeconds != nil {
		delay = time.Duration(*out.DelaySeconds) * time.Second
		if delay < 0 || delay > maxDelay {
			return sendOutput{}, errInvalid("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", *out.DelaySeconds)
		}
	}
	now := time.Now()
	m := &message{
		id: newID(), body: out.MessageBody, bodyMD5: md5Hex(out.MessageBody),
		attributes: out.MessageAttributes, sent: now,
		system: map[string]string{
			"SenderId":      "AIDAIT2UOQQY3AUEKVGXU",
			"SentTimestamp": strconv.FormatInt(now.UnixMilli(), 10),
		},
	}
	if out.MessageGroupID != "" {
		m.system["MessageGroupId"] = out.MessageGroupID
	}
	if trace := out.MessageSystemAttributes["AWSTraceHeader"].StringValue; trace != nil {
		m.system["AWSTraceHeader"] = *trace
	}
	q.add(now, m, delay)
	s.settle(q, now)
	return sendOutput{MessageID: m.id, MD5OfMessageBody: m.bodyMD5, MD5OfMessageAttributes: attributesMD5(m.attributes)}, nil
}

type sendBatchInput struct {
	QueueURL string      `json:"QueueUrl"`
	Entries  []sendEntry `json:"Entries"`
}

type sendEntry struct {
	ID string `json:"Id"`
	outgoing
}

func (e sendEntry) entryID() string { return e.ID }

type sendResult struct {
	ID string `json:"Id"`
	sendOutput
}

func (s *Server) sendMessageBatch(ctx context.Context, in sendBatchInput) (batchOutput[sendResult], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return batchOutput[sendResult]{}, err
	}
	total := 0
	for _, entry := range in.Entries {
		size, _ := validateContent(entry.MessageBody, entry.MessageAttributes)
		total += size
	}
	if total > q.settings.maxBytes {
		return batchOutput[sendResult]{}, refusal("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong",
			"Batch requests cannot be longer than %d bytes. You have sent %d bytes.", q.settings.maxBytes, total)
	}
	return eachEntry(ctx, in.Entries, func(entry sendEntry) (sendResult, error) {
		out, err := s.send(q, entry.outgoing)
		return sendResult{ID: entry.ID, sendOutput: out}, err
	})
}
