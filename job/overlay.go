package job

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Overlay is what changes make of the jobs of a run: by job id, the job's own parameters.
type Overlay map[string]jsontext.Value

// Apply changes a job, if it is one of those that change.
func (o Overlay) Apply(s *Spec) {
	if params, ok := o[s.ID]; ok {
		s.Params = params
	}
}

// OverlayOptions say what becomes of a run's parameters.
type OverlayOptions struct {
	Changes  []Change
	Params   jsontext.Value // the run's own, which lie under each job's
	AllowNew bool           // parameters may be added, and their kind may change, as from a number to text
}

// NewOverlay finds the jobs that the changes mean among all of a run's, which it may read twice. Where ids hold dots,
// the longest id that exists is meant, unless only another has the parameter; a change that several jobs' parameters
// answer to is an error. Its error is the jobs' own, or *[Errors], naming every change that cannot be made.
func NewOverlay(o OverlayOptions, jobs iter.Seq2[Spec, error]) (Overlay, error) {
	own, err := ownParams(o.Changes, jobs)
	if err != nil {
		return nil, err
	}
	overlay, errs := Overlay{}, &Errors{}
	var unknown []Change
	seen := map[string]bool{}
	for _, c := range o.Changes {
		place := strings.Join(c.path, "\x00")
		if seen[place] {
			errs.Add(&Error{Message: fmt.Sprintf("change %q: its parameter is changed twice", clip(c.Text))})
			continue
		}
		seen[place] = true
		err := overlay.change(c, own, o)
		switch {
		case errors.Is(err, errNoJob):
			unknown = append(unknown, c)
		case err != nil:
			errs.Add(&Error{Message: fmt.Sprintf("change %q: %v", clip(c.Text), err)})
		}
	}
	if err := explainUnknown(unknown, jobs, errs); err != nil {
		return nil, err
	}
	return overlay, errs.Err()
}

// ownParams are the parameters of all jobs that the changes could mean.
func ownParams(changes []Change, jobs iter.Seq2[Spec, error]) (map[string]jsontext.Value, error) {
	wanted := map[string]bool{}
	for _, c := range changes {
		for _, id := range c.ids() {
			wanted[id] = true
		}
	}
	own := map[string]jsontext.Value{}
	for s, err := range jobs {
		if err != nil {
			return nil, err
		}
		if wanted[s.ID] {
			own[s.ID] = s.Params.Clone()
		}
	}
	return own, nil
}

var errNoJob = errors.New("there is no such job")

// change adds a change to the overlay.
func (o Overlay) change(c Change, own map[string]jsontext.Value, options OverlayOptions) error {
	var exist []string // ids of jobs that it may mean, the longest first
	var have []string  // those of them that have the parameter
	for _, id := range c.ids() {
		params, ok := own[id]
		if !ok {
			continue
		}
		exist = append(exist, id)
		merged, err := MergeParams(options.Params, params)
		if err != nil {
			return err
		}
		if hasParam(merged, c.below(id)) {
			have = append(have, id)
		}
	}
	switch {
	case len(exist) == 0:
		return errNoJob
	case len(have) > 1:
		return fmt.Errorf("it may mean job %s or job %s: put quotes around the id, as in %q.%s=…", have[0], have[1], have[0], strings.Join(c.below(have[0]), "."))
	}
	id := slices.Concat(have, exist)[0]
	if changed, ok := o[id]; ok { // by a change before this one
		own = map[string]jsontext.Value{id: changed}
	}
	params, err := setParam(own[id], options.Params, c.below(id), c.Value, options.AllowNew)
	if err != nil {
		return fmt.Errorf("job %s %w", id, err)
	}
	o[id] = params
	return nil
}

// hasParam reports whether the parameters have something at the path.
func hasParam(params jsontext.Value, path []string) bool {
	for _, name := range path {
		switch params.Kind() {
		case '{':
			var members map[string]jsontext.Value
			if json.Unmarshal(params, &members) != nil || members[name] == nil {
				return false
			}
			params = members[name]
		case '[':
			var elements []jsontext.Value
			i, err := strconv.Atoi(name)
			if err != nil || json.Unmarshal(params, &elements) != nil || i < 0 || i >= len(elements) {
				return false
			}
			params = elements[i]
		default:
			return false
		}
	}
	return true
}

// setParam returns a job's own parameters with the value at the path. What it changes of the run's parameters becomes
// the job's own.
func setParam(own, run jsontext.Value, path []string, value jsontext.Value, allowNew bool) (jsontext.Value, error) {
	merged, err := MergeParams(run, own)
	if err != nil {
		return nil, err
	}
	if len(merged) == 0 {
		merged = jsontext.Value("{}")
	}
	all, err := put(merged, path, 0, value, allowNew)
	if err != nil {
		return nil, err
	}
	members := map[string]jsontext.Value{}
	if len(own) > 0 {
		if err := json.Unmarshal(own, &members); err != nil {
			return nil, fmt.Errorf("has params that cannot be read: %w", err)
		}
	}
	var changed map[string]jsontext.Value
	if err := json.Unmarshal(all, &changed); err != nil {
		return nil, fmt.Errorf("has params that cannot be read: %w", err)
	}
	members[path[0]] = changed[path[0]]
	return json.Marshal(members, json.Deterministic(true))
}

// put returns in, which lies at path[:depth], with the value at the path.
func put(in jsontext.Value, path []string, depth int, value jsontext.Value, allowNew bool) (jsontext.Value, error) {
	if depth == len(path) {
		if was, is := kindName(in.Kind()), kindName(value.Kind()); was != is && in.Kind() != 'n' && !allowNew {
			return nil, fmt.Errorf("has %s at %s, not %s; --allow-new sets it all the same", was, where(path), is)
		}
		return value, nil
	}
	name, last := path[depth], depth == len(path)-1
	switch in.Kind() {
	case '{':
		var members map[string]jsontext.Value
		if err := json.Unmarshal(in, &members); err != nil {
			return nil, fmt.Errorf("has params that cannot be read: %w", err)
		}
		member, ok := members[name]
		switch {
		case !ok && (!last || !allowNew):
			return nil, noParam(path[:depth+1], slices.Sorted(maps.Keys(members)))
		case !ok:
			member = value
		default:
			var err error
			if member, err = put(member, path, depth+1, value, allowNew); err != nil {
				return nil, err
			}
		}
		members[name] = member
		return json.Marshal(members, json.Deterministic(true))
	case '[':
		var elements []jsontext.Value
		if err := json.Unmarshal(in, &elements); err != nil {
			return nil, fmt.Errorf("has params that cannot be read: %w", err)
		}
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= len(elements) {
			return nil, fmt.Errorf("has %d elements at %s, counted from 0: there is no element %q", len(elements), where(path[:depth]), clip(name))
		}
		if elements[i], err = put(elements[i], path, depth+1, value, allowNew); err != nil {
			return nil, err
		}
		return json.Marshal(elements, json.Deterministic(true))
	default:
		return nil, fmt.Errorf("has %s at %s: nothing lies below it", kindName(in.Kind()), where(path[:depth]))
	}
}

func noParam(path, known []string) error {
	hint := "it has " + strings.Join(known, ", ") + ";"
	if near := Nearest(path[len(path)-1], known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(known) == 0 {
		hint = "there is none;"
	}
	return fmt.Errorf("has no parameter %s; %s --allow-new adds one", where(path), hint)
}

func where(path []string) string { return clip(strings.Join(path, ".")) }

// explainUnknown adds an error for each change whose job does not exist.
func explainUnknown(changes []Change, jobs iter.Seq2[Spec, error], errs *Errors) error {
	if len(changes) == 0 {
		return nil
	}
	var known []string
	for s, err := range jobs {
		if err != nil {
			return err
		}
		known = append(known, s.ID)
	}
	similar := newHinter(known)
	for _, c := range changes {
		hint := fmt.Sprintf("the run has %d jobs", len(known))
		for _, id := range c.ids() {
			if near := similar.to(id); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
				break
			}
		}
		errs.Add(&Error{Message: fmt.Sprintf("change %q: there is no job %s; %s", clip(c.Text), clip(c.path[0]), hint)})
	}
	return nil
}
