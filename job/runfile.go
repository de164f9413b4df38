package job

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// RunFile is one submission as a user writes it, in YAML or JSON. Jobs stand inline or in a file of JSON lines.
type RunFile struct {
	Name       string            `json:"name"`
	Pool       string            `json:"pool,omitzero"` // "" of a reproduction only: it has the pool of the other run
	Owner      string            `json:"owner,omitzero"`
	Labels     map[string]string `json:"labels,omitempty"` // for people and reports; never part of a key
	Params     jsontext.Value    `json:"params,omitempty"` // merged under each job's params
	JobsFrom   string            `json:"jobs_from,omitzero"`
	JobsSHA256 string            `json:"jobs_sha256,omitzero"` // of the file that JobsFrom names; written by the submitter's client
	Jobs       []Spec            `json:"-"`
	Reproduce  *Reproduction     `json:"reproduce,omitzero"` // in the place of jobs
	Selection

	file   string              // that it was read from
	places map[string]position // of the fields' values, for errors found later
}

// ErrorAt is an error about a field of the run file, which was read from file, placed at the field's value.
func (r *RunFile) ErrorAt(file, field, format string, args ...any) *Errors {
	at := r.places[field]
	return &Errors{List: []*Error{{File: file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)}}}
}

// ParseRunFile reads a run file. Its error is *[Errors], beside which stands what could be read, or nil when that is
// nothing. What the jobs need of one another is checked by [Checker].
func ParseRunFile(file string, data []byte) (*RunFile, error) {
	errs := &Errors{}
	text, locate := toJSON(file, data, errs)
	if text == nil {
		return nil, errs.Err()
	}
	d := newDecoder(file, text, errs, locate)
	d.reported = map[position]bool{}
	for _, e := range errs.List {
		d.reported[position{e.Line, e.Column}] = true
	}
	run := &RunFile{file: file, places: map[string]position{}}
	seen := map[string]position{}
	isObject := d.object("a run file", func(name string, at position) {
		seen[name], run.places[name] = at, d.position()
		switch name {
		case "name":
			run.Name, _ = d.checkedString("name", CheckName)
		case "pool":
			run.Pool, _ = d.checkedString("pool", CheckName)
		case "owner":
			run.Owner, _ = d.str("owner")
		case "labels":
			run.Labels = d.labels()
		case "params":
			run.Params = d.params()
		case "jobs_from":
			run.JobsFrom, _ = d.checkedString("jobs_from", checkJobsFrom)
		case "jobs_sha256":
			run.JobsSHA256, _ = d.checkedString("jobs_sha256", checkSHA256)
		case "reproduce":
			run.Reproduce = d.reproduction()
		case "only":
			run.Only = d.only(run.places)
		case "with_dependents":
			run.WithDependents = d.boolean("with_dependents")
		case "force":
			run.Force, _ = d.checkedString("force", CheckReason)
		case "jobs":
			isList := d.array("jobs", func() { run.Jobs = append(run.Jobs, d.spec()) })
			if isList && len(run.Jobs) == 0 {
				d.errorf(at, "run file has an empty list of jobs")
			}
		default:
			d.unknown("a run file", name, at, "name", "pool", "owner", "labels", "params", "jobs_from", "jobs", "only", "with_dependents", "force", "reproduce")
		}
	})
	d.end()
	if isObject {
		d.checkFields(seen)
	}
	if n := run.textBytes(); n > MaxTextBytes {
		d.errorf(cmp.Or(run.places["labels"], run.places["owner"]), "owner and labels have %d bytes together, at most %d are kept with a run", n, MaxTextBytes)
	}
	if _, ok := seen["only"]; run.WithDependents && !ok {
		d.errorf(seen["with_dependents"], "%v", ErrNoOnly)
	}
	return run, errs.Err()
}

// MaxTextBytes is the most that owner and labels of a run take together. They are kept in its record, which is read whenever
// runs are listed and must fit into one item of DynamoDB, 400 KB.
const MaxTextBytes = 16 << 10

func (r *RunFile) textBytes() int {
	n := len(r.Owner)
	for name, value := range r.Labels {
		n += len(name) + len(value)
	}
	return n
}

// checkFields checks which fields stand in the run file, and where.
func (d *decoder) checkFields(seen map[string]position) {
	top := position{line: 1}
	if _, ok := seen["reproduce"]; ok {
		d.checkReproduces(seen)
		return
	}
	for _, required := range []string{"name", "pool"} {
		if _, ok := seen[required]; !ok {
			d.errorf(top, "run file has no %s", required)
		}
	}
	_, inline := seen["jobs"]
	from, elsewhere := seen["jobs_from"]
	switch {
	case inline && elsewhere:
		d.errorf(from, "run file has both jobs and jobs_from: keep one of them")
	case !inline && !elsewhere:
		d.errorf(top, "run file has no jobs: give them under jobs, or name a file of JSON lines with jobs_from")
	}
}

// checkReproduces refuses what a run that computes another's jobs again takes from that one.
func (d *decoder) checkReproduces(seen map[string]position) {
	if _, ok := seen["name"]; !ok {
		d.errorf(position{line: 1}, "run file has no name")
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		switch name {
		case "name", "owner", "labels", "reproduce":
		default:
			d.errorf(seen[name], "run file has both reproduce and %s, which is the other run's", name)
		}
	}
}

// checkJobsFrom checks the name of a file or the URL of an S3 object.
func checkJobsFrom(from string) error {
	switch {
	case from == "":
		return fmt.Errorf("name is empty: want a file of JSON lines, or s3://bucket/object")
	case strings.Contains(from, "://"):
		return checkObjectURL(from)
	}
	return nil
}

// MergeParams lays a job's parameters over the run's, member by member of the top level; the job's win.
func MergeParams(run, job jsontext.Value) (jsontext.Value, error) {
	if len(run) == 0 {
		return job, nil
	}
	if len(job) == 0 {
		return run, nil
	}
	merged := map[string]jsontext.Value{}
	for _, params := range []jsontext.Value{run, job} {
		if err := json.Unmarshal(params, &merged); err != nil {
			return nil, fmt.Errorf("merge params: %w", err)
		}
	}
	// Not canonical JSON: it writes 1e20 as an integer, which nobody may submit.
	data, err := json.Marshal(merged, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("merge params: %w", err)
	}
	return data, nil
}
