package scaler

import "time"

// Parts is when each part of an observation was last true; the zero value of a part that never was. Decisions rest on
// the first four: one that is unknown or too old holds its pool.
type Parts struct {
	Demand  time.Time `dynamodbav:"demand,omitempty" json:"demand,omitzero"`
	Listing time.Time `dynamodbav:"listing,omitempty" json:"listing,omitzero"` // of the pool's tasks
	Tasks   time.Time `dynamodbav:"tasks,omitempty" json:"tasks,omitzero"`     // since when the description waited for longest is
	Control time.Time `dynamodbav:"control,omitempty" json:"control,omitzero"` // what people asked for
	Events  time.Time `dynamodbav:"events,omitempty" json:"events,omitzero"`   // the queue of task events last answered
	Cluster time.Time `dynamodbav:"cluster,omitempty" json:"cluster,omitzero"` // ECS last counted its tasks
}

// parts is what the last decision rested on, and what is known beside it.
func (e *Engine) parts(now time.Time, p *pool) Parts {
	o := p.observed
	parts := Parts{Demand: o.Demand.At, Listing: p.fleet.at, Control: o.Asked.At, Events: e.eventsAt, Cluster: p.cluster.at}
	if p.fleet.known {
		parts.Tasks = now
		if waits := o.Workers.Awaited; !waits.IsZero() {
			parts.Tasks = waits
		}
	}
	return parts
}

// measureAges shows the age of each part that was ever known.
func (e *Engine) measureAges(now time.Time, p *pool) {
	parts := e.parts(now, p)
	for name, at := range map[string]time.Time{
		"demand": parts.Demand, "listing": parts.Listing, "tasks": parts.Tasks, "control": parts.Control, "events": parts.Events, "cluster": parts.Cluster,
	} {
		if !at.IsZero() {
			e.metrics.ages.WithLabelValues(p.Name, name).Set(max(0, now.Sub(at).Seconds()))
		}
	}
}
