package job

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// RunFile is one submission as a user writes it, in YAML or JSON. Jobs stand inline or in a file of JSON lines.
type RunFile struct {
	Name       string            `json:"name"`
	Pool       string            `json:"pool"`
	Owner      string            `json:"owner,omitzero"`
	Labels     map[string]string `json:"labels,omitempty"` // for people and reports; never part of a key
	Params     jsontext.Value    `json:"params,omitempty"` // merged under each job's params
	JobsFrom   string            `json:"jobs_from,omitzero"`
	JobsSHA256 string            `json:"jobs_sha256,omitzero"` // of the file that JobsFrom names; written by the submitter's client
	Jobs       []Spec            `json:"-"`
}

// ParseRunFile reads a run file. Its error is *[Errors]; what the jobs need of one another is checked by [Checker].
func ParseRunFile(file string, data []byte) (*RunFile, error) {
	errs := &Errors{}
	text, locate := yamlToJSON(file, data, errs)
	if text == nil {
		return nil, errs
	}
	d := newDecoder(file, text, errs, locate)
	for _, e := range errs.List {
		d.reported[position{e.Line, e.Column}] = true
	}
	run := &RunFile{}
	seen := map[string]bool{}
	isObject := d.object("a run file", func(name string, at position) {
		seen[name] = true
		switch name {
		case "name":
			run.Name = d.checkedString(CheckName)
		case "pool":
			run.Pool = d.checkedString(CheckName)
		case "owner":
			run.Owner = d.str()
		case "labels":
			run.Labels = d.labels()
		case "params":
			run.Params = d.params()
		case "jobs_from":
			run.JobsFrom = d.str()
		case "jobs_sha256":
			run.JobsSHA256 = d.str()
		case "jobs":
			d.array("jobs", func() { run.Jobs = append(run.Jobs, d.spec()) })
		default:
			d.unknown("run file", name, at, "name", "pool", "owner", "labels", "params", "jobs_from", "jobs")
		}
	})
	if isObject {
		top := position{line: 1}
		for _, required := range []string{"name", "pool"} {
			if !seen[required] {
				d.errorf(top, "run file has no %s", required)
			}
		}
		switch {
		case seen["jobs"] && seen["jobs_from"]:
			d.errorf(top, "run file has both jobs and jobs_from: keep one of them")
		case !seen["jobs"] && run.JobsFrom == "":
			d.errorf(top, "run file has no jobs: give them under jobs, or name a file of JSON lines with jobs_from")
		case seen["jobs"] && len(run.Jobs) == 0:
			d.errorf(top, "run file has an empty list of jobs")
		}
	}
	return run, errs.Err()
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
		if err := unmarshalObject(params, merged); err != nil {
			return nil, fmt.Errorf("merge params: %w", err)
		}
	}
	return canonicalJSON(merged)
}
