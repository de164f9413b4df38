package worker

import (
	"time"

	"spate/job"
)

// How a message that failed is given back where no planner judges attempts: hidden for the first pause, then twice as
// long each time.
const (
	producerPauseFirst = 10 * time.Second
	producerPauseMost  = 15 * time.Minute
)

// maxPasses is how often workers pass a message of another image on before they let the queue count it.
const maxPasses = 20

// forProducer is what becomes of a message of another producer than Spate. It has no planner that would send the next
// attempt: a job without output goes back to the queue, whose redrive policy says how often it is tried. Nor is there
// anybody who knows which image is the right one: a message that nobody has taken after many passes is counted, too, and
// no reason to leave, as its pool would launch the next worker for it.
func (v verdict) forProducer(m job.Message, receives int) verdict {
	if v.outcome == otherImage && m.Passes >= maxPasses {
		v.outcome, v.after = postponed, unreadableFor
	}
	if v.outcome == failed || v.outcome == inputChanged || v.outcome == parentLost {
		v.lines = v.event.LastLines
		v.event, v.after = nil, min(producerPauseMost, producerPauseFirst<<min(10, max(0, receives-1)))
	}
	return v
}
