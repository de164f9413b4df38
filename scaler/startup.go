package scaler

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// startUps is how long tasks take from their launch until they run, as lately seen: a mean in which a new one counts as
// one of at most fifty.
type startUps struct {
	seen int
	mean time.Duration
}

const (
	startUpMemory = 50
	// startUpLongest is beyond what tells of anything but an accident or of a clock.
	startUpLongest = 15 * time.Minute
)

// saw takes over a task's description; only ECS's own times count, which no delay in looking changes.
func (s *startUps) saw(task types.Task) {
	if task.CreatedAt == nil || task.StartedAt == nil {
		return
	}
	took := task.StartedAt.Sub(*task.CreatedAt)
	if took < 0 || took > startUpLongest {
		return
	}
	s.seen = min(s.seen+1, startUpMemory)
	s.mean += (took - s.mean) / time.Duration(s.seen)
}

// starting fills in how long tasks take to start, and how long the pending ones have been at it.
func (f *fleet) starting(now time.Time, w *Workers) {
	w.StartUp = f.startUps.mean
	most := w.StartUp
	if f.startUps.seen == 0 {
		most = startUp // what a plan takes for it then
	}
	for _, m := range f.members {
		if m.status == memberPending {
			w.PendingFor += min(most, max(0, now.Sub(m.created)))
		}
	}
}
