package planner

// sparse is a value for each node, zero unless it was set. Only what was set takes memory, in pieces for neighbours: what is
// known of jobs that are done costs nothing while they are not. The zero sparse is empty.
type sparse[T comparable] struct{ pieces []*[pieceNodes]T }

// pieceNodes is how many nodes share a piece.
const pieceNodes = 1024

func (s *sparse[T]) get(n int32) T {
	if i := int(n) / pieceNodes; i < len(s.pieces) && s.pieces[i] != nil {
		return s.pieces[i][n%pieceNodes]
	}
	var zero T
	return zero
}

func (s *sparse[T]) set(n int32, value T) {
	if value == s.get(n) {
		return
	}
	i := int(n) / pieceNodes
	for i >= len(s.pieces) {
		s.pieces = append(s.pieces, nil)
	}
	if s.pieces[i] == nil {
		s.pieces[i] = new([pieceNodes]T)
	}
	s.pieces[i][n%pieceNodes] = value
}
