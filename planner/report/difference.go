package report

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"spate/job"
)

// Kind is the part of a key document that a difference lies in.
type Kind string

// The parts, in the order in which differences are listed. All but KindParent are changes of the job itself.
const (
	KindVersion   Kind = "version"
	KindNamespace Kind = "namespace"
	KindImage     Kind = "image"
	KindPlatform  Kind = "platform"
	KindRun       Kind = "run"   // of a task type that is not deterministic
	KindAgain     Kind = "again" // of a reproduction
	KindTask      Kind = "task"
	KindEnv       Kind = "env"
	KindParams    Kind = "params"
	KindInputs    Kind = "inputs"
	KindNeeds     Kind = "needs"  // another parent, or other files of it
	KindParent    Kind = "parent" // the same parent with another key
	KindOther     Kind = "other"
)

// Difference is one field in which two key documents differ.
type Difference struct {
	Kind   Kind           `json:"kind"`
	Field  string         `json:"field"`            // such as "params.layers[0].limit" or "inputs.melt.csv"
	Before jsontext.Value `json:"before,omitempty"` // canonical JSON; none when the field was not there
	After  jsontext.Value `json:"after,omitempty"`  // none when the field is not there any more
}

// IsOwn reports whether the job itself was changed, rather than only what it depends on.
func (d Difference) IsOwn() bool { return d.Kind != KindParent }

// String is the difference for people: "params.limit 5 → 6". Long values are shortened.
func (d Difference) String() string {
	isFiles := d.Kind == KindNeeds && strings.HasSuffix(d.Field, ".files")
	switch {
	case isFiles && d.Before == nil:
		return d.Field + " all → " + d.text(d.After)
	case isFiles && d.After == nil:
		return d.Field + " " + d.text(d.Before) + " → all"
	case d.Kind == KindNeeds && d.Before == nil:
		return d.Field + " is new"
	case d.Kind == KindNeeds && d.After == nil:
		return d.Field + " is gone"
	case d.Before == nil:
		return d.Field + " is new: " + d.text(d.After)
	case d.After == nil:
		return d.Field + " is gone, was " + d.text(d.Before)
	}
	before, after := d.text(d.Before), d.text(d.After)
	if before == after { // the difference lies in what was cut
		return d.Field + " changed near the end of " + before
	}
	return d.Field + " " + before + " → " + after
}

// mostOfValue is how many characters of a value are shown.
const mostOfValue = 40

// text is a value for people. Parameters stay JSON, so that a text and a number are told apart.
func (d Difference) text(v jsontext.Value) string {
	var words []string
	var in job.InputIdentity
	switch {
	case d.Kind == KindInputs && json.Unmarshal(v, &in) == nil:
		if in.SHA256 != "" {
			return "SHA-256 " + in.SHA256[:min(12, len(in.SHA256))]
		}
		return fmt.Sprintf("%d B, ETag %s", in.Size, in.ETag[:min(12, len(in.ETag))])
	case d.Kind == KindParams:
	case json.Unmarshal(v, &words) == nil:
		return "[" + clip(strings.Join(words, " "), mostOfValue) + "]"
	case v.Kind() == jsontext.KindString:
		s := string(v[1 : len(v)-1])
		if _, err := job.ParseKey(s); err == nil {
			return s[:12]
		}
		if digest, ok := strings.CutPrefix(s, "sha256:"); ok {
			return "sha256:" + digest[:min(12, len(digest))]
		}
		return clip(s, mostOfValue)
	}
	return clip(string(v), mostOfValue)
}

// clip shortens a text to at most most characters.
func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// DiffDocuments lists the fields in which two key documents differ, the job's own first, those of one kind by name. Keys
// of documents without difference are equal.
func DiffDocuments(before, after job.Document) ([]Difference, error) {
	a, err := before.Canonical()
	if err != nil {
		return nil, fmt.Errorf("compare documents: %w", err)
	}
	b, err := after.Canonical()
	if err != nil {
		return nil, fmt.Errorf("compare documents: %w", err)
	}
	var d differ
	if !bytes.Equal(a, b) {
		d.documents(a, b)
	}
	return d.found, nil
}

// differ collects the differences of canonical JSON values.
type differ struct{ found []Difference }

// specKinds are the members of a spec document, in the order in which differences are listed.
func specKinds() []Kind {
	return []Kind{
		KindVersion, KindNamespace, KindImage, KindPlatform, KindRun, KindAgain, KindTask, KindEnv, KindParams, KindInputs,
	}
}

func (d *differ) documents(a, b jsontext.Value) {
	docA, docB := members(a), members(b)
	specA, specB := members(docA["spec"]), members(docB["spec"])
	for _, kind := range specKinds() {
		name := string(kind)
		if kind == KindVersion {
			name = "v"
		}
		compare := d.leaf
		if kind == KindTask || kind == KindEnv || kind == KindParams {
			compare = d.value
		}
		if kind == KindInputs {
			d.each(kind, name, members(specA[name]), members(specB[name]), d.leaf)
		} else {
			compare(kind, name, specA[name], specB[name])
		}
		delete(specA, name)
		delete(specB, name)
	}
	d.each(KindOther, "", specA, specB, d.value) // fields that this program does not know by name
	parentsA, parentsB := members(docA["parents"]), members(docB["parents"])
	d.each(KindNeeds, "needs", parentsA, parentsB, func(kind Kind, field string, a, b jsontext.Value) {
		if a == nil || b == nil {
			d.leaf(kind, field, a, b)
			return
		}
		d.leaf(kind, field+".files", members(a)["files"], members(b)["files"])
	})
	d.each(KindParent, "needs", parentsA, parentsB, func(kind Kind, field string, a, b jsontext.Value) {
		if a != nil && b != nil {
			d.leaf(kind, field+".key", members(a)["key"], members(b)["key"])
		}
	})
}

// leaf compares two values as wholes; nil stands for a member that is not there.
func (d *differ) leaf(kind Kind, field string, a, b jsontext.Value) {
	if !bytes.Equal(a, b) {
		d.found = append(d.found, Difference{Kind: kind, Field: field, Before: a, After: b})
	}
}

// value compares two values, members and elements one by one.
func (d *differ) value(kind Kind, field string, a, b jsontext.Value) {
	if a == nil || b == nil || bytes.Equal(a, b) || a.Kind() != b.Kind() {
		d.leaf(kind, field, a, b)
		return
	}
	switch a.Kind() {
	case jsontext.KindBeginObject:
		d.each(kind, field, members(a), members(b), d.value)
	case jsontext.KindBeginArray:
		listA, listB := elements(a), elements(b)
		if len(listA) != len(listB) || kind == KindTask { // a command is read as a whole
			d.leaf(kind, field, a, b)
			return
		}
		for i := range listA {
			d.value(kind, fmt.Sprintf("%s[%d]", field, i), listA[i], listB[i])
		}
	default:
		d.leaf(kind, field, a, b)
	}
}

// each compares the members of two objects, by name.
func (d *differ) each(
	kind Kind, field string, a, b map[string]jsontext.Value, compare func(kind Kind, field string, a, b jsontext.Value),
) {
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		path := name
		if field != "" {
			path = field + "." + name
		}
		compare(kind, path, a[name], b[name])
	}
}

// members are those of a canonical JSON object; none of anything else.
func members(v jsontext.Value) map[string]jsontext.Value {
	m := map[string]jsontext.Value{}
	if len(v) > 0 && json.Unmarshal(v, &m) != nil {
		return map[string]jsontext.Value{}
	}
	return m
}

// elements are those of a canonical JSON array; none of anything else.
func elements(v jsontext.Value) []jsontext.Value {
	var list []jsontext.Value
	if json.Unmarshal(v, &list) != nil {
		return nil
	}
	return list
}

// IsOwnChange reports whether any of the differences is one of the job itself.
func IsOwnChange(differences []Difference) bool {
	return slices.ContainsFunc(differences, Difference.IsOwn)
}
