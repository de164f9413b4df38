package sqs

import (
	"context"
	"slices"
	"strings"
	"time"
)

// empty is the output of operations that return nothing.
type empty struct{}

type createQueueInput struct {
	QueueName  string            `json:"QueueName"`
	Attributes map[string]string `json:"Attributes"`
}

type queueURLOutput struct {
	QueueURL string `json:"QueueUrl"`
}

func (s *Server) createQueue(ctx context.Context, in createQueueInput) (queueURLOutput, error) {
	if !s.queueName.MatchString(in.QueueName) {
		return queueURLOutput{}, errInvalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[in.QueueName]; q != nil {
		if !q.sameAttributes(in.Attributes) {
			return queueURLOutput{}, refusal("QueueNameExists", "QueueAlreadyExists",
				"A queue already exists with the same name and a different value for one or more attributes.")
		}
		return queueURLOutput{QueueURL: s.url(ctx, q.name)}, nil
	}
	given := defaultSettings()
	if err := s.configure(&given, in.Attributes); err != nil {
		return queueURLOutput{}, err
	}
	q := newQueue(in.QueueName, s.arn(in.QueueName), time.Now(), given, s.chance)
	q.bury = s.buryFrom(q)
	s.queues[q.name] = q
	return queueURLOutput{QueueURL: s.url(ctx, q.name)}, nil
}

// configure applies attributes; a dead-letter queue they name must exist.
func (s *Server) configure(to *settings, attributes map[string]string) error {
	next := *to
	if err := next.apply(attributes); err != nil {
		return err
	}
	if next.maxReceives > 0 && s.queueByARN(next.deadLetterARN) == nil {
		return errInvalid("Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", next.redrivePolicy)
	}
	*to = next
	return nil
}

// buryFrom makes what a queue does with a message received too often: the
// dead-letter queue gets it, unless it was deleted meanwhile, which loses the
// message as AWS does. The lock is held when it is called.
func (s *Server) buryFrom(q *queue) func(time.Time, *message) {
	return func(now time.Time, m *message) {
		target := s.queueByARN(q.settings.deadLetterARN)
		if target == nil || target == q {
			return
		}
		target.add(now, m, 0)
		s.settle(target, now)
	}
}

type queueNameInput struct {
	QueueName string `json:"QueueName"`
}

func (s *Server) getQueueURL(ctx context.Context, in queueNameInput) (queueURLOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues[in.QueueName] == nil {
		return queueURLOutput{}, errNoQueue()
	}
	return queueURLOutput{QueueURL: s.url(ctx, in.QueueName)}, nil
}

type listQueuesInput struct {
	QueueNamePrefix string `json:"QueueNamePrefix"`
	MaxResults      int    `json:"MaxResults"`
	NextToken       string `json:"NextToken"`
}

type listQueuesOutput struct {
	QueueURLs []string `json:"QueueUrls,omitempty"`
	NextToken string   `json:"NextToken,omitempty"`
}

// maxListed is the most queues that one ListQueues returns.
const maxListed = 1000

func (s *Server) listQueues(ctx context.Context, in listQueuesInput) (listQueuesOutput, error) {
	limit := in.MaxResults
	if limit == 0 {
		limit = maxListed
	}
	if limit < 1 || limit > maxListed {
		return listQueuesOutput{}, errInvalid("Value for parameter MaxResults is invalid. Reason: Must be an integer from 1 to 1000.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.queues {
		if strings.HasPrefix(name, in.QueueNamePrefix) && name > in.NextToken {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out listQueuesOutput
	if len(names) > limit {
		names = names[:limit]
		// Without MaxResults AWS returns the first 1,000 and no token.
		if in.MaxResults > 0 {
			out.NextToken = names[limit-1]
		}
	}
	for _, name := range names {
		out.QueueURLs = append(out.QueueURLs, s.url(ctx, name))
	}
	return out, nil
}

type queueInput struct {
	QueueURL string `json:"QueueUrl"`
}

func (s *Server) deleteQueue(_ context.Context, in queueInput) (empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return empty{}, err
	}
	delete(s.queues, q.name)
	q.purge()
	for q.waiters.Len() > 0 {
		w, _ := q.waiters.Front().Value.(*waiter)
		q.leave(w)
		close(w.result)
	}
	s.settle(q, time.Now())
	return empty{}, nil
}

func (s *Server) purgeQueue(_ context.Context, in queueInput) (empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return empty{}, err
	}
	q.purge()
	s.settle(q, time.Now())
	return empty{}, nil
}

type getAttributesInput struct {
	QueueURL       string   `json:"QueueUrl"`
	AttributeNames []string `json:"AttributeNames"`
}

type getAttributesOutput struct {
	Attributes map[string]string `json:"Attributes,omitempty"`
}

func (s *Server) getQueueAttributes(_ context.Context, in getAttributesInput) (getAttributesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return getAttributesOutput{}, err
	}
	now := time.Now()
	q.advance(now)
	q.remember(now, time.Duration(s.chance.DepthLag)) // what time alone has changed
	attributes, err := selectAttributes(q.attributes(now), in.AttributeNames)
	return getAttributesOutput{Attributes: attributes}, err
}

type setAttributesInput struct {
	QueueURL   string            `json:"QueueUrl"`
	Attributes map[string]string `json:"Attributes"`
}

func (s *Server) setQueueAttributes(_ context.Context, in setAttributesInput) (empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(in.QueueURL)
	if err != nil {
		return empty{}, err
	}
	if err := s.configure(&q.settings, in.Attributes); err != nil {
		return empty{}, err
	}
	q.modified = time.Now()
	return empty{}, nil
}
