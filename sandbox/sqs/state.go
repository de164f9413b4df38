package sqs

import "time"

// QueueState is how many messages of a queue stand where, exactly.
type QueueState struct {
	Visible  int `json:"visible"`
	InFlight int `json:"in_flight"`
	Delayed  int `json:"delayed"`
}

// State is that of each queue, by name.
func (s *Server) State() map[string]QueueState {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make(map[string]QueueState, len(s.queues))
	for name, q := range s.queues {
		q.advance(time.Now())
		states[name] = QueueState{Visible: q.counts[visible], InFlight: q.counts[inFlight], Delayed: q.counts[delayed]}
	}
	return states
}

// Messages are the bodies of all messages that a queue holds, in flight and delayed ones included, in no order. A queue that is
// not there has none.
func (s *Server) Messages(queue string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[queue]
	if q == nil {
		return nil
	}
	q.advance(time.Now())
	bodies := make([]string, 0, len(q.messages))
	for _, m := range q.messages {
		bodies = append(bodies, m.body)
	}
	return bodies
}
