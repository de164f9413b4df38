package job

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Selection says which jobs a run is about, and whether they are computed again though their outputs exist. The zero
// value is all jobs, none of them again.
type Selection struct {
	Only           []string `json:"only,omitempty"`           // job ids; none means all. Their ancestors come along
	WithDependents bool     `json:"with_dependents,omitzero"` // also the jobs that depend on those of Only
	Force          string   `json:"force,omitzero"`           // why these jobs, without their ancestors, are computed again
}

// SelectsAll reports whether the run is an ordinary one.
func (s Selection) SelectsAll() bool { return len(s.Only) == 0 && !s.WithDependents && s.Force == "" }

// MaxReasonLength is how long a reason may be, in bytes.
const MaxReasonLength = 500

// CheckReason checks what a person gives as a reason: one line of text that says something.
func CheckReason(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return errors.New("reason is empty: say why, it is kept with the run")
	case len(s) > MaxReasonLength:
		return fmt.Errorf("reason has %d bytes, at most %d are kept", len(s), MaxReasonLength)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("reason must be one line of text")
	}
	return nil
}

// ErrNoOnly says that dependents are asked for, and not of which jobs.
var ErrNoOnly = errors.New("with_dependents says nothing without only: name the jobs whose dependents are meant")

// Override lays a selection over the run file's own, field by field. Errors found later in what was laid over name no
// place in the file. ErrNoOnly: neither names jobs, and dependents are asked for.
func (r *RunFile) Override(s Selection) error {
	if len(s.Only) > 0 {
		seen := map[string]bool{}
		for _, id := range s.Only {
			if err := CheckID(id); err != nil {
				return fmt.Errorf("only: %w", err)
			}
			if seen[id] {
				return fmt.Errorf("only: job %q stands in it twice", id)
			}
			seen[id] = true
		}
		r.Only = slices.Clone(s.Only)
		for i := range s.Only {
			delete(r.places, onlyPlace(i))
		}
	}
	r.WithDependents = r.WithDependents || s.WithDependents
	if s.Force != "" {
		if err := CheckReason(s.Force); err != nil {
			return fmt.Errorf("force: %w", err)
		}
		r.Force = s.Force
	}
	if r.WithDependents && len(r.Only) == 0 {
		return ErrNoOnly
	}
	return nil
}

func onlyPlace(i int) string { return fmt.Sprintf("only[%d]", i) }

// only reads a list of job ids and notes in places where each stands.
func (d *decoder) only(places map[string]position) []string {
	var ids []string
	var seen names
	start := d.position()
	isList := d.array("only", func() {
		at := d.position()
		id, ok := d.checkedString("only", CheckID)
		switch {
		case !ok:
		case !seen.add(id):
			d.errorf(at, "only: job %q stands in it twice", id)
		default:
			places[onlyPlace(len(ids))] = at
			ids = append(ids, id)
		}
	})
	if isList && len(ids) == 0 {
		d.errorf(start, "only is an empty list: leave it out to run all jobs")
	}
	return ids
}

// CheckOnly checks, once all jobs have been added, that those of the run file's Only are among them.
func (c *Checker) CheckOnly(run *RunFile) {
	var similar *hinter
	for i, id := range run.Only {
		if _, ok := c.Find(id); ok {
			continue
		}
		if similar == nil {
			similar = newHinter(c.jobIDs())
		}
		hint := ""
		if near := similar.to(id); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		at, ok := run.places[onlyPlace(i)]
		e := &Error{Message: fmt.Sprintf("only: no job of this run is called %q%s", id, hint)}
		if ok {
			e.File, e.Line, e.Column = run.file, at.line, at.column
		}
		c.errs.Add(e)
	}
}

func (c *Checker) jobIDs() []string {
	ids := make([]string, len(c.jobs))
	for i := range c.jobs {
		ids[i] = c.ID(int32(i))
	}
	return ids
}
