package job

import (
	"fmt"
	"strconv"
)

// Reproduction asks for jobs of another run to be computed again, so that their bytes can be compared. It stands in a run
// file in the place of jobs.
type Reproduction struct {
	Run    string   `json:"run"`
	Jobs   []string `json:"jobs,omitempty"`  // ids; none: a sample
	Sample int      `json:"sample,omitzero"` // how many jobs; 0: DefaultSample, or all when there are no more
	Seed   int      `json:"seed,omitzero"`   // another seed chooses other jobs
}

// DefaultSample is how many jobs are computed again when nobody says how many.
const DefaultSample = 100

// Validate checks what can be known without the run.
func (r Reproduction) Validate() error {
	switch {
	case r.Run == "":
		return fmt.Errorf("reproduce names no run")
	case r.Sample < 0:
		return fmt.Errorf("sample is %d: want at least 1", r.Sample)
	case r.Seed < 0:
		return fmt.Errorf("seed is %d: want 0 or more", r.Seed)
	case r.Sample > 0 && len(r.Jobs) > 0:
		return fmt.Errorf("reproduce has both jobs and sample: keep one of them")
	}
	return nil
}

// reproduction reads the field "reproduce" of a run file.
func (d *decoder) reproduction() *Reproduction {
	var r Reproduction
	start := d.position()
	isObject := d.object("reproduce", func(name string, at position) {
		switch name {
		case "run":
			r.Run, _ = d.checkedString("run", CheckName)
		case "jobs":
			isList := d.array("jobs", func() {
				if id, ok := d.checkedString("jobs", CheckID); ok {
					r.Jobs = append(r.Jobs, id)
				}
			})
			if isList && len(r.Jobs) == 0 {
				d.errorf(at, "reproduce has an empty list of jobs: leave \"jobs\" out to take a sample")
			}
		case "sample":
			r.Sample = d.count("sample", 1)
		case "seed":
			r.Seed = d.count("seed", 0)
		default:
			d.unknown("reproduce", name, at, "run", "jobs", "sample", "seed")
		}
	})
	if !isObject {
		return nil
	}
	if err := r.Validate(); err != nil {
		d.errorf(start, "%v", err)
	}
	return &r
}

// count reads a whole number from least on.
func (d *decoder) count(what string, least int) int {
	if d.failed {
		return least
	}
	at := d.position()
	if d.dec.PeekKind() != '0' {
		d.mismatch(at, what, "a number")
		return least
	}
	token, err := d.dec.ReadToken()
	if err != nil {
		d.syntax(err)
		return least
	}
	const most = 1<<53 - 1 // what every JSON program keeps exact
	text := token.String()
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < int64(least) || number > most {
		d.errorf(at, "%s: want a whole number from %d on, have %s", what, least, text)
		return least
	}
	return int(number)
}
