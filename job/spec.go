package job

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Spec is a job as a user submits it.
type Spec struct {
	ID     string            `json:"id"`
	Task   string            `json:"task"`
	Params jsontext.Value    `json:"params,omitempty"` // an object; merged over the run's
	Inputs map[string]Input  `json:"inputs,omitempty"` // by staged name
	Needs  map[string]Need   `json:"needs,omitempty"`  // by staged name
	Labels map[string]string `json:"labels,omitempty"` // for people and reports; never part of a key

	place place
}

// place remembers where the parts of a Spec stood, for errors found later.
type place struct {
	line   int
	id     int // columns
	task   int
	params int
	needs  map[string]position // position of each need's job id
}

type position struct{ line, column int }

// Input is an object in S3 that a job reads: "s3://bucket/object", or with the SHA-256 that the submitter vouches for.
type Input struct {
	URL    string `json:"url"`
	SHA256 string `json:"sha256,omitzero"` // 64 lower-case hexadecimal digits
}

// Need is a parent's output that a job reads. It is staged as a directory that holds the parent's files.
type Need struct {
	Job   string   `json:"job"`
	Files []string `json:"files,omitempty"` // none means all
}

// Line is where the job began in the file it was read from, from 1; 0 when it was not read from one.
func (s *Spec) Line() int { return s.place.line }

// NeedNames lists the staged names of the needs, sorted.
func (s *Spec) NeedNames() []string { return slices.Sorted(maps.Keys(s.Needs)) }

// decodeSpec reads one job from an object of which the opening brace is next.
func (d *decoder) spec() Spec {
	var s Spec
	start := d.position()
	s.place.line = start.line
	s.place.needs = map[string]position{}
	seenID, seenTask := false, false
	isObject := d.object("a job", func(name string, at position) {
		switch name {
		case "id":
			seenID, s.place.id = true, d.position().column
			s.ID = d.checkedString(CheckID)
		case "task":
			seenTask, s.place.task = true, d.position().column
			s.Task = d.checkedString(CheckName)
		case "params":
			s.place.params = d.position().column
			s.Params = d.params()
		case "inputs":
			s.Inputs = d.inputs()
		case "needs":
			s.Needs = d.needs(s.place.needs)
		case "labels":
			s.Labels = d.labels()
		default:
			d.unknown("job", name, at, "id", "task", "params", "inputs", "needs", "labels")
		}
	})
	if isObject {
		if !seenID {
			d.errorf(start, "job has no id")
		}
		if !seenTask {
			d.errorf(start, "job %s has no task", orUnnamed(s.ID))
		}
		d.checkStaged(&s, start)
	}
	return s
}

func (d *decoder) inputs() map[string]Input {
	inputs := map[string]Input{}
	d.object("inputs", func(name string, at position) {
		if err := CheckPath(name); err != nil {
			d.errorf(at, "inputs: %v", err)
		}
		in := Input{}
		here := d.position()
		if d.dec.PeekKind() == '"' {
			in.URL = d.str()
		} else {
			d.object(fmt.Sprintf("input %q", name), func(field string, at position) {
				switch field {
				case "url":
					in.URL = d.str()
				case "sha256":
					here := d.position()
					in.SHA256 = d.str()
					if _, err := ParseKey(in.SHA256); err != nil && !d.failed {
						d.errorf(here, "input %q: sha256 %q: want 64 lower-case hexadecimal digits", name, in.SHA256)
					}
				default:
					d.unknown("input", field, at, "url", "sha256")
				}
			})
		}
		if d.failed {
			return
		}
		if _, _, err := ParseObjectURL(in.URL); err != nil {
			d.errorf(here, "input %q: %v", name, err)
		}
		inputs[name] = in
	})
	return inputs
}

func (d *decoder) needs(places map[string]position) map[string]Need {
	needs := map[string]Need{}
	d.object("needs", func(name string, at position) {
		if err := CheckPath(name); err != nil {
			d.errorf(at, "needs: %v", err)
		}
		need := Need{}
		places[name] = d.position()
		if d.dec.PeekKind() == '"' {
			need.Job = d.checkedString(CheckID)
		} else {
			seen := false
			d.object(fmt.Sprintf("need %q", name), func(field string, at position) {
				switch field {
				case "job":
					seen, places[name] = true, d.position()
					need.Job = d.checkedString(CheckID)
				case "files":
					need.Files = d.files(name)
				default:
					d.unknown("need", field, at, "job", "files")
				}
			})
			if !seen && !d.failed {
				d.errorf(places[name], "need %q names no job", name)
			}
		}
		needs[name] = need
	})
	return needs
}

func (d *decoder) files(need string) []string {
	var files []string
	start := d.position()
	d.array("files", func() {
		here := d.position()
		file := d.checkedString(CheckPath)
		if slices.Contains(files, file) && !d.failed {
			d.errorf(here, "need %q names file %q twice", need, file)
			return
		}
		files = append(files, file)
	})
	if len(files) == 0 && !d.failed {
		d.errorf(start, "need %q has an empty list of files: leave \"files\" out to stage all of them", need)
	}
	slices.Sort(files)
	return files
}

func (d *decoder) labels() map[string]string {
	labels := map[string]string{}
	d.object("labels", func(name string, at position) {
		if name == "" {
			d.errorf(at, "labels: name is empty")
		}
		labels[name] = d.str()
	})
	return labels
}

// checkStaged refuses staged names that would overwrite or contain each other.
func (d *decoder) checkStaged(s *Spec, at position) {
	if len(s.Inputs)+len(s.Needs) < 2 {
		return
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(s.Inputs)), maps.Keys(s.Needs))
	// With '/' before every other character a directory is followed at once by what it holds.
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
	for i := 1; i < len(names); i++ {
		switch prev, name := names[i-1], names[i]; {
		case prev == name:
			d.errorf(at, "job %s stages both an input and a need as %q", orUnnamed(s.ID), name)
		case strings.HasPrefix(name, prev+"/"):
			d.errorf(at, "job %s stages %q inside %q", orUnnamed(s.ID), name, prev)
		}
	}
}

func orUnnamed(id string) string {
	if id == "" {
		return "without id"
	}
	return id
}
