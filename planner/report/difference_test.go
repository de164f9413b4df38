package report

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"spate/job"
)

var update = flag.Bool("update", false, "rewrite golden files with what the code says now")

// golden compares text with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), to be rewritten with -update:\n%s", path, diff)
	}
}

func key(digit string) job.Key {
	k, err := job.ParseKey(strings.Repeat(digit, 2*job.KeySize))
	if err != nil {
		panic(err)
	}
	return k
}

// document is what a deal's key may have been derived from.
func document() job.Document {
	return job.Document{
		Spec: job.SpecDocument{
			V: job.DocumentVersion, Namespace: "default", Image: "sha256:1111111111111111", Platform: "linux/amd64", Task: task("price").Document(),
			Params: []byte(`{"name":"Cat XL 1","limit":5e6,"share":0.25,"layers":[{"limit":1},{"limit":2}],"terms":{"aad":0}}`),
			Inputs: map[string]job.InputIdentity{"melt.csv": {ETag: "9bb58f26192e4ba00f01e2e7b136bbd8", Size: 120}, "rates": {SHA256: strings.Repeat("a", 64)}},
			Env:    map[string]string{"LC_ALL": "C"},
		},
		Parents: map[string]job.ParentOutputs{"events": {Key: key("1"), Files: []string{"a.csv", "b.csv"}}, "inuring": {Key: key("2")}},
	}
}

// changes are what may become different in a document, by what the golden file calls it.
func changes() map[string]func(d *job.Document) {
	return map[string]func(d *job.Document){
		"nothing": func(*job.Document) {},
		"spelling": func(d *job.Document) {
			d.Spec.Params = replaced(d, `"limit":5e6,"share":0.25`, ` "share" : 0.250, "limit" : 5000000 `)
		},
		"order of files": func(d *job.Document) {
			d.Parents["events"] = job.ParentOutputs{Key: key("1"), Files: []string{"b.csv", "a.csv"}}
		},
		"namespace":       func(d *job.Document) { d.Spec.Namespace = "desk-2" },
		"image":           func(d *job.Document) { d.Spec.Image = "sha256:2222222222222222" },
		"platform":        func(d *job.Document) { d.Spec.Platform = "linux/arm64" },
		"reproduction":    func(d *job.Document) { d.Spec.Again = "again-1" },
		"run":             func(d *job.Document) { d.Spec.Run = "nightly-2" },
		"command":         func(d *job.Document) { d.Spec.Task.Command = []string{"model", "price", "--fast"} },
		"task name":       func(d *job.Document) { d.Spec.Task.Name = "price-2" },
		"hook":            func(d *job.Document) { d.Spec.Task.Before = []string{"./stage.sh"} },
		"environment":     func(d *job.Document) { d.Spec.Env = map[string]string{"LC_ALL": "de_DE", "THREADS": "1"} },
		"a number":        func(d *job.Document) { d.Spec.Params = replaced(d, "5e6", "6e6") },
		"a text":          func(d *job.Document) { d.Spec.Params = replaced(d, "Cat XL 1", "Cat XL 2") },
		"a kind":          func(d *job.Document) { d.Spec.Params = replaced(d, "0.25", `"0.25"`) },
		"deep":            func(d *job.Document) { d.Spec.Params = replaced(d, `{"limit":2}`, `{"limit":3,"rate":0.1}`) },
		"another element": func(d *job.Document) { d.Spec.Params = replaced(d, `{"limit":2}`, `{"limit":2},{"limit":3}`) },
		"less":            func(d *job.Document) { d.Spec.Params = replaced(d, `"share":0.25,`, ``) },
		"empty object":    func(d *job.Document) { d.Spec.Params = replaced(d, `"aad":0`, ``) },
		"long": func(d *job.Document) {
			d.Spec.Params = replaced(d, "Cat XL 1", "A treaty with a name that no line of eighty columns can hold, layer 2")
		},
		"input": func(d *job.Document) {
			d.Spec.Inputs = map[string]job.InputIdentity{"melt.csv": {ETag: "c897d1410af8f2c74fba11b1db511e9e", Size: 121}, "rates": {SHA256: strings.Repeat("b", 64)}}
		},
		"another input": func(d *job.Document) { d.Spec.Inputs["elt.csv"] = job.InputIdentity{ETag: "00", Size: 1} },
		"parent's key":  func(d *job.Document) { d.Parents["inuring"] = job.ParentOutputs{Key: key("3")} },
		"parent's files": func(d *job.Document) {
			d.Parents["events"] = job.ParentOutputs{Key: key("1"), Files: []string{"a.csv"}}
			d.Parents["inuring"] = job.ParentOutputs{Key: key("2"), Files: []string{"splt.csv"}}
		},
		"another parent": func(d *job.Document) { d.Parents["also"] = job.ParentOutputs{Key: key("4")} },
		"no parents":     func(d *job.Document) { d.Parents = nil },
		"all at once": func(d *job.Document) {
			d.Spec.Image, d.Spec.Params = "sha256:2222222222222222", replaced(d, "5e6", "6e6")
			d.Parents["events"], d.Parents["inuring"] = job.ParentOutputs{Key: key("3")}, job.ParentOutputs{Key: key("4")}
		},
	}
}

func replaced(d *job.Document, old, with string) []byte {
	if !strings.Contains(string(d.Spec.Params), old) {
		panic("the params have no " + old)
	}
	return []byte(strings.TrimSpace(strings.Replace(string(d.Spec.Params), old, with, 1)))
}

func TestEveryFieldOfAKeyDocumentIsCompared(t *testing.T) {
	var b strings.Builder
	all := changes()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		after := document()
		all[name](&after)
		differences, err := DiffDocuments(document(), after)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", name)
		for _, d := range differences {
			who := "own"
			if !d.IsOwn() {
				who = "parent"
			}
			fmt.Fprintf(&b, "  %-6s %-9s %s\n", who, d.Kind, d)
		}
		before, after2 := mustKey(t, document()), mustKey(t, after)
		if (before == after2) != (len(differences) == 0) {
			t.Errorf("%s: %d differences, keys equal: %t", name, len(differences), before == after2)
		}
	}
	golden(t, "differences.txt", b.String())
}

func mustKey(t interface{ Fatal(args ...any) }, d job.Document) job.Key {
	k, err := d.Key()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A field that is added to the document and forgotten here would make keys differ for no reason that is shown.
func TestNoMemberOfASpecDocumentIsForgotten(t *testing.T) {
	known := map[string]bool{"v": true}
	for _, kind := range specKinds() {
		known[string(kind)] = true
	}
	spec := reflect.TypeFor[job.SpecDocument]()
	for field := range spec.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !known[name] {
			t.Errorf("spec documents have a member %q, of which differences tell by the name of %q only", name, KindOther)
		}
	}
}

func TestDocumentsDifferExactlyWhenTheirKeysDo(t *testing.T) {
	all := changes()
	names := slices.Sorted(maps.Keys(all))
	rapid.Check(t, func(t *rapid.T) {
		a, b := document(), document()
		all[rapid.SampledFrom(names).Draw(t, "change of a")](&a)
		all[rapid.SampledFrom(names).Draw(t, "change of b")](&b)
		there, err := DiffDocuments(a, b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DiffDocuments(b, a)
		if err != nil {
			t.Fatal(err)
		}
		if same := mustKey(t, a) == mustKey(t, b); same != (len(there) == 0) || len(there) != len(back) {
			t.Fatalf("keys equal: %t; there %v, back %v", same, there, back)
		}
	})
}
