package ecs

// State is how an account stands.
type State struct {
	Launched int            `json:"launched"` // tasks since the start
	Tasks    map[string]int `json:"tasks"`    // by last status, those still described
	Tokens   int            `json:"tokens"`   // clientTokens that are remembered
}

// State counts.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := State{Launched: s.account.launched, Tasks: map[string]int{}, Tokens: len(s.account.launches)}
	for _, t := range s.account.tasks {
		state.Tasks[string(t.last)]++
	}
	return state
}
