package s3

// BucketState is what a bucket holds.
type BucketState struct {
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// State is that of each bucket, by name.
func (s *Server) State() map[string]BucketState {
	states := map[string]BucketState{}
	for _, b := range s.store.all() {
		b.mu.RLock()
		state := BucketState{Objects: len(b.objects)}
		for _, o := range b.objects {
			state.Bytes += int64(len(o.body))
		}
		b.mu.RUnlock()
		states[b.name] = state
	}
	return states
}
