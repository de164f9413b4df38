package job

import (
	"fmt"
	"time"

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
	Needs  map[string]PlannedNeed  `json:"needs,omitempty"`
	Labels map[string]string       `json:"labels,omitempty"`

	// Original is the key of the job of another run that this one computes again; zero for all other jobs.
	Original Key `json:"original,omitzero"`
	// Forced says that the run was told to compute the job again. Replaces is the output that stood when the run was planned:
	// to this run it counts as absent.
	Forced   bool     `json:"forced,omitzero"`
	Replaces Replaced `json:",embed"`

	// Substituted says that Key is not the job's own: another job's output stands in for it. SubstitutedBy names the jobs of
	// which that is so that this one depends on, through others too. Rekeyed is the generation of the run's manifest in which
	// the job got its present key; 0 when it has the key with which it was planned.
	Substituted   *Substitute `json:"substituted,omitzero"`
	SubstitutedBy []string    `json:"substituted_by,omitempty"`
	Rekeyed       int         `json:"rekeyed,omitzero"`
}

// Substitute says why another output stands in for a job's.
type Substitute struct {
	For     Key       `json:"for"` // the job's own key
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Request string    `json:"request"` // that asked for it
}

// PlannedInput is an input whose bytes are pinned.
type PlannedInput struct {
	URL string `json:"url"`
	InputIdentity
}

// PlannedNeed is a parent whose key is known. Without a Job it is no job of this run: its output exists, or the job fails.
type PlannedNeed struct {
	Job   string   `json:"job,omitzero"`
	Key   Key      `json:"key"`
	Files []string `json:"files,omitempty"` // none means all
}

// Document is what the job's key is derived from: common holds what all jobs of the run and task type share.
func (p *Planned) Document(common SpecDocument) Document {
	common.Params = p.Params
	common.Inputs = make(map[string]InputIdentity, len(p.Inputs))
	for name, in := range p.Inputs {
		common.Inputs[name] = in.InputIdentity
	}
	parents := make(map[string]ParentOutputs, len(p.Needs))
	for name, need := range p.Needs {
		parents[name] = ParentOutputs{Key: need.Key, Files: need.Files}
	}
	return Document{Spec: common, Parents: parents}
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
