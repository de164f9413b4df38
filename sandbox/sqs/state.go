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
