package job

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Planned is a job of a run's normalised manifest: keyed, its inputs pinned, so that a planner that starts again needs
// nothing else. The manifest is JSON lines, parents before children; a job's position in it is its number.
type Planned struct {
	ID     string                  `json:"id"`
	Task   string                  `json:"task"`
	Key    Key                     `json:"key"`
	Params jsontext.Value          `json:"params,omitempty"` // merged with the run's
	Inputs map[string]PlannedInput `json:"inputs,omitempty"`
	Needs  map[string]Need         `json:"needs,omitempty"`
	Labels map[string]string       `json:"labels,omitempty"`
}

// PlannedInput is an input whose bytes are pinned.
type PlannedInput struct {
	URL string `json:"url"`
	InputIdentity
}

// Document is what the job's key is derived from. parent gives the key of each parent by job id.
func (p *Planned) Document(spec SpecDocument, parent func(id string) Key) Document {
	spec.Params = p.Params
	spec.Inputs = make(map[string]InputIdentity, len(p.Inputs))
	for name, in := range p.Inputs {
		spec.Inputs[name] = in.InputIdentity
	}
	parents := make(map[string]ParentOutputs, len(p.Needs))
	for name, need := range p.Needs {
		parents[name] = ParentOutputs{Key: parent(need.Job), Files: need.Files}
	}
	return Document{Spec: spec, Parents: parents}
}

// AppendLine writes the job as one JSON line.
func (p *Planned) AppendLine(buf []byte) ([]byte, error) {
	line, err := json.Marshal(p, json.Deterministic(true))
	if err != nil {
		return buf, fmt.Errorf("write job %s: %w", p.ID, err)
	}
	return append(append(buf, line...), '\n'), nil
}

// ParsePlanned reads what AppendLine writes.
func ParsePlanned(line []byte) (Planned, error) {
	var p Planned
	if err := json.Unmarshal(line, &p); err != nil {
		return Planned{}, fmt.Errorf("parse planned job: %w", err)
	}
	if p.Key.IsZero() || p.ID == "" {
		return Planned{}, fmt.Errorf("parse planned job: it has no id or no key")
	}
	return p, nil
}
