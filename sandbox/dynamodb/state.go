package dynamodb

// State is how many items each table has, by name.
func (s *Server) State() map[string]int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	items := make(map[string]int, len(s.tables))
	for name, t := range s.tables {
		t.mu.RLock()
		items[name] = t.records.count
		t.mu.RUnlock()
	}
	return items
}
