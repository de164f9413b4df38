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
	id     position
	task   position
	params position
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

// Place is where the job's id stood in the file it was read from, from 1, the column in bytes; 0 when it was not read from one.
func (s *Spec) Place() (line, column int) { return s.place.id.line, s.place.id.column }

// NeedNames lists the staged names of the needs, sorted.
func (s *Spec) NeedNames() []string { return slices.Sorted(maps.Keys(s.Needs)) }

// spec reads one job.
func (d *decoder) spec() Spec {
	var s Spec
	start := d.position()
	s.place.line = start.line
	seenID, seenTask := false, false
	isObject := d.object("a job", func(name string, at position) {
		switch name {
		case "id":
			seenID, s.place.id = true, d.position()
			s.ID, _ = d.checkedString("id", CheckID) // kept when it is bad, so that its children find it
		case "task":
			seenTask, s.place.task = true, d.position()
			if task, ok := d.checkedString("task", CheckName); ok {
				s.Task = task
			}
		case "params":
			s.place.params = d.position()
			s.Params = d.params()
		case "inputs":
			s.Inputs = d.inputs()
		case "needs":
			s.place.needs = map[string]position{}
			s.Needs = d.needs(s.place.needs)
		case "labels":
			s.Labels = d.labels()
		default:
			d.unknown("a job", name, at, "id", "task", "params", "inputs", "needs", "labels")
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
		in := d.input(fmt.Sprintf("input %q", clip(name)))
		if err := CheckPath(name); err != nil {
			d.errorf(at, "inputs: %v", err)
			return
		}
		inputs[name] = in
	})
	return inputs
}

// input reads an input: its URL, or an object that holds it.
func (d *decoder) input(what string) Input {
	var in Input
	if start := d.position(); d.dec.PeekKind() == '{' {
		seen := false
		isObject := d.object(what, func(field string, at position) {
			switch field {
			case "url":
				seen = true
				in.URL, _ = d.checkedString(what, checkObjectURL)
			case "sha256":
				in.SHA256, _ = d.checkedString(what, checkSHA256)
			default:
				d.unknown("an input", field, at, "url", "sha256")
			}
		})
		if isObject && !seen {
			d.errorf(start, "%s has no url", what)
		}
		return in
	}
	in.URL, _ = d.checkedString(what, checkObjectURL)
	return in
}

func checkObjectURL(url string) error {
	_, _, err := ParseObjectURL(url)
	return err
}

func checkSHA256(digits string) error {
	if _, err := ParseKey(digits); err != nil {
		return fmt.Errorf("sha256 %q: want 64 lower-case hexadecimal digits", clip(digits))
	}
	return nil
}

// needs reads the needs and notes in places where each names its job.
func (d *decoder) needs(places map[string]position) map[string]Need {
	needs := map[string]Need{}
	d.object("needs", func(name string, at position) {
		need, place := d.need(fmt.Sprintf("need %q", clip(name)))
		if err := CheckPath(name); err != nil {
			d.errorf(at, "needs: %v", err)
			return
		}
		needs[name], places[name] = need, place
	})
	return needs
}

// need reads a need: the parent's id, or an object that holds it. The id is "" when it was bad.
func (d *decoder) need(what string) (Need, position) {
	var need Need
	place := d.position()
	if d.dec.PeekKind() == '{' {
		seen := false
		isObject := d.object(what, func(field string, at position) {
			switch field {
			case "job":
				seen, place = true, d.position()
				if id, ok := d.checkedString(what, CheckID); ok {
					need.Job = id
				}
			case "files":
				need.Files = d.files(what)
			default:
				d.unknown("a need", field, at, "job", "files")
			}
		})
		if isObject && !seen {
			d.errorf(place, "%s names no job", what)
		}
		return need, place
	}
	if id, ok := d.checkedString(what, CheckID); ok {
		need.Job = id
	}
	return need, place
}

// files reads the names of files and returns them sorted.
func (d *decoder) files(what string) []string {
	var files []string
	var seen names
	start := d.position()
	empty := true
	isList := d.array(what+": files", func() {
		empty = false
		here := d.position()
		file, ok := d.checkedString(what+": files", CheckPath)
		switch {
		case !ok:
		case !seen.add(file):
			d.errorf(here, "%s names file %q twice", what, file)
		default:
			files = append(files, file)
		}
	})
	if isList && empty {
		d.errorf(start, "%s has an empty list of files: leave \"files\" out to stage all of them", what)
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
		labels[name], _ = d.str(fmt.Sprintf("label %q", clip(name)))
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
