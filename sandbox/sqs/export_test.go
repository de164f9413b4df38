package sqs

// Waiting says how many long polls wait on a queue.
func (s *Server) Waiting(url string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.queueOf(url)
	if err != nil {
		return 0
	}
	return q.waiters.Len()
}
