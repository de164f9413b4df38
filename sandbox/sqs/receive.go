package sqs

import (
	"context"
	"slices"
	"strconv"
	"time"

	"spate/sandbox/fault"
)

type receiveInput struct {
	QueueURL                    string   `json:"QueueUrl"`
	MaxNumberOfMessages         *int     `json:"MaxNumberOfMessages"`
	VisibilityTimeout           *int     `json:"VisibilityTimeout"`
	WaitTimeSeconds             *int     `json:"WaitTimeSeconds"`
	AttributeNames              []string `json:"AttributeNames"`
	MessageSystemAttributeNames []string `json:"MessageSystemAttributeNames"`
	MessageAttributeNames       []string `json:"MessageAttributeNames"`
}

type receiveOutput struct {
	Messages []received `json:"Messages,omitempty"`
}

type received struct {
	MessageID              string                    `json:"MessageId"`
	ReceiptHandle          string                    `json:"ReceiptHandle"`
	MD5OfBody              string                    `json:"MD5OfBody"`
	Body                   string                    `json:"Body"`
	Attributes             map[string]string         `json:"Attributes,omitempty"`
	MD5OfMessageAttributes string                    `json:"MD5OfMessageAttributes,omitempty"`
	MessageAttributes      map[string]attributeValue `json:"MessageAttributes,omitempty"`
}

// receiveMessage returns what is visible, or waits for the first message to
// come. A client that leaves while it waits takes nothing with it.
func (s *Server) receiveMessage(ctx context.Context, in receiveInput) (receiveOutput, error) {
	_, twice := fault.Wanted(ctx, fault.Duplicate)
	taken, poll, wait, err := s.receiveOrWait(in, twice)
	if err != nil {
		return receiveOutput{}, err
	}
	if poll == nil {
		return in.output(taken), nil
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	var open bool
	select {
	case taken, open = <-poll.result:
		if !open {
			return receiveOutput{}, errNoQueue()
		}
		return in.output(taken), nil
	case <-timeout.C:
	case <-ctx.Done():
	}
	return in.output(s.giveUp(in.QueueURL, poll)), nil
}

// receiveOrWait receives at once, or joins the queue's list of waiting polls.
func (s *Server) receiveOrWait(in receiveInput, twice bool) ([]delivery, *waiter, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return nil, nil, 0, err
	}
	limit, visibility, wait, err := in.parameters(q.settings)
	if err != nil {
		return nil, nil, 0, err
	}
	now := time.Now()
	if wait == 0 && s.chance.isBlind() {
		return nil, nil, 0, nil
	}
	taken := q.take(now, limit, visibility, twice)
	if len(taken) > 0 || wait == 0 {
		s.settle(q, now)
		return taken, nil, 0, nil
	}
	poll := &waiter{max: limit, visibility: visibility, twice: twice, result: make(chan []delivery, 1)}
	poll.element = q.waiters.PushBack(poll)
	s.settle(q, now)
	return nil, poll, wait, nil
}

// giveUp ends a wait. Messages that were handed over at the last moment are
// returned: they are in flight already.
func (s *Server) giveUp(url string, poll *waiter) []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(url)
	if err != nil || !q.leave(poll) {
		select {
		case taken := <-poll.result:
			return taken
		default:
			return nil
		}
	}
	s.settle(q, time.Now())
	return nil
}

// parameters are the request's, or the queue's where it says nothing.
func (in receiveInput) parameters(s settings) (limit int, visibility, wait time.Duration, err error) {
	limit, visibility, wait = 1, s.visibility, s.wait
	if in.MaxNumberOfMessages != nil {
		if limit = *in.MaxNumberOfMessages; limit < 1 || limit > maxBatch {
			return 0, 0, 0, errInvalid("Value %d for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.", limit)
		}
	}
	if in.VisibilityTimeout != nil {
		if visibility, err = visibilityOf(*in.VisibilityTimeout); err != nil {
			return 0, 0, 0, err
		}
	}
	if in.WaitTimeSeconds != nil {
		wait = time.Duration(*in.WaitTimeSeconds) * time.Second
		if wait < 0 || wait > maxWait {
			return 0, 0, 0, errInvalid("Value %d for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.", *in.WaitTimeSeconds)
		}
	}
	return limit, visibility, wait, nil
}

func visibilityOf(seconds int) (time.Duration, error) {
	visibility := time.Duration(seconds) * time.Second
	if visibility < 0 || visibility > maxVisibility {
		return 0, errInvalid("Value %d for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and 43200.", seconds)
	}
	return visibility, nil
}

func (in receiveInput) output(taken []delivery) receiveOutput {
	var out receiveOutput
	if len(taken) == 0 {
		return out // as most long polls of an idle fleet end
	}
	names := slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames)
	for _, d := range taken {
		m := d.message
		attributes := selectMessageAttributes(m.attributes, in.MessageAttributeNames)
		out.Messages = append(out.Messages, received{
			MessageID: m.id, ReceiptHandle: d.handle, MD5OfBody: m.bodyMD5, Body: m.body,
			Attributes:        m.systemAttributes(names),
			MessageAttributes: attributes, MD5OfMessageAttributes: attributesMD5(attributes),
		})
	}
	return out
}

func (m *message) systemAttributes(names []string) map[string]string {
	all := slices.Contains(names, "All")
	selected := map[string]string{}
	add := func(name, value string) {
		if all || slices.Contains(names, name) {
			selected[name] = value
		}
	}
	for name, value := range m.system {
		add(name, value)
	}
	add("ApproximateReceiveCount", strconv.Itoa(m.receives))
	add("ApproximateFirstReceiveTimestamp", strconv.FormatInt(m.firstReceived.UnixMilli(), 10))
	return selected
}
