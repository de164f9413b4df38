package job

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// addBadFiles seeds a fuzz target with the files of testdata/bad.
func addBadFiles(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join("testdata", "bad", pattern))
		if err != nil || len(paths) == 0 {
			f.Fatalf("no seeds %s: %v", pattern, err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
}

// checkErrors checks what every error of a file promises.
func checkErrors(t *testing.T, err error) {
	t.Helper()
	var errs *Errors
	if !errors.As(err, &errs) || errs.Len() == 0 {
		t.Fatalf("%T is no list of errors: %v", err, err)
	}
	for _, e := range errs.List {
		if e.File != "f" && e.File != "f.json" || e.Line < 0 || e.Column < 0 || e.Message == "" {
			t.Fatalf("an error without its place or reason: %+v", e)
		}
	}
}

// sameJobs compares but for where jobs stood, the notation of params, and empty with absent.
func sameJobs() cmp.Options {
	canonical := func(params jsontext.Value) string {
		if len(params) == 0 {
			return "{}"
		}
		text, err := canonicalJSON(params)
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
	return cmp.Options{
		cmpopts.IgnoreUnexported(Spec{}, RunFile{}),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().Type() != reflect.TypeFor[jsontext.Value]() }, cmpopts.EquateEmpty()),
		cmp.Comparer(func(a, b jsontext.Value) bool { return canonical(a) == canonical(b) }),
	}
}

func FuzzParseRunFile(f *testing.F) {
	addBadFiles(f, "*.yaml", "*.json")
	f.Add([]byte(yamlRun))
	f.Add([]byte(jsonRun))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 {
			return // the YAML parser slows with the square of the size
		}
		run, err := ParseRunFile("f", data)
		if err != nil {
			checkErrors(t, err)
			return
		}
		written, err := json.Marshal(struct {
			RunFile
			Jobs []Spec `json:"jobs,omitempty"`
		}{*run, run.Jobs})
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRunFile("f.json", written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		if diff := cmp.Diff(run, again, sameJobs()); diff != "" {
			t.Fatalf("run file (-first +second):\n%s", diff)
		}
	})
}

func FuzzReader(f *testing.F) {
	addBadFiles(f, "*.jsonl")
	f.Add(appendJobLine(nil, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader("f", strings.NewReader(string(data)))
		for range strings.Count(string(data), "\n") + 1 {
			spec, err := r.Next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				checkErrors(t, err)
				continue
			}
			line, err := json.Marshal(spec)
			if err != nil {
				t.Fatal(err)
			}
			again, err := NewReader("f", strings.NewReader(string(line))).Next()
			if err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
			if diff := cmp.Diff(spec, again, sameJobs()); diff != "" {
				t.Fatalf("job (-first +second):\n%s", diff)
			}
			if _, err := (&Planned{ID: spec.ID, Params: spec.Params}).Document(SpecDocument{V: DocumentVersion}).Key(); err != nil {
				t.Fatalf("params that were read have no key: %v", err)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatal("there are more jobs than lines")
		}
	})
}

// roundTrip checks that what was read from data, if it can be, is read again as it was written. Reading may normalise, so the
// second and the third reading are compared.
func roundTrip[T any](t *testing.T, data []byte, read func([]byte) (T, error), write func(T) ([]byte, error)) {
	t.Helper()
	first, err := read(data)
	if err != nil {
		return
	}
	var readings [2]T
	next := first
	for i := range readings {
		written, err := write(next)
		if err != nil {
			t.Fatalf("write what was read: %v", err)
		}
		if next, err = read(written); err != nil {
			t.Fatalf("read what was written: %v\n%s", err, written)
		}
		readings[i] = next
	}
	if diff := cmp.Diff(readings[0], readings[1], cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("(-second +third):\n%s", diff)
	}
}

func FuzzParseMessage(f *testing.F) {
	data, err := testMessage(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > MaxMessageBytes/8 {
			return // escaped, it may be longer than what a queue takes
		}
		roundTrip(t, data, func(data []byte) (Message, error) {
			m, doc, err := ParseMessage(data)
			if err == nil && mustKey(t, doc) != m.Key {
				t.Fatal("the key is not the document's")
			}
			return m, err
		}, Message.Encode)
	})
}

func FuzzParseEvent(f *testing.F) {
	data, err := testEvent().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, ParseEvent, Event.Encode) })
}

func FuzzParseSubmission(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"nightly-1"}`))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, ParseSubmission, Submission.Encode) })
}

func FuzzParseManifest(f *testing.F) {
	m := testManifest()
	data, err := m.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		roundTrip(t, data, func(data []byte) (*Manifest, error) { return ParseManifest(data, m.Key) }, (*Manifest).Encode)
	})
}

func FuzzParsePlanned(f *testing.F) {
	f.Add([]byte(`{"id":"a","task":"t","key":"` + Key{1}.String() + `","needs":{"x":{"job":"b","key":"` + Key{2}.String() + `"}}}`))
	f.Add([]byte(`{"id":"a","task":"t","key":"` + Key{1}.String() + `","inputs":{"x":{"url":"s3://b/a","etag":"e","size":3}},"params":{"a":[1]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		roundTrip(t, data, ParsePlanned, func(p Planned) ([]byte, error) { return p.AppendLine(nil) })
	})
}

func FuzzParseDocument(f *testing.F) {
	for _, v := range readKeyVectors(f) {
		f.Add([]byte(v.Document))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := ParseDocument(data)
		if err != nil {
			return
		}
		canonical, err := doc.Canonical()
		if err != nil {
			return // params of a document are any JSON
		}
		again, err := ParseDocument(canonical)
		if err != nil {
			t.Fatal(err)
		}
		if mustKey(t, again) != mustKey(t, doc) {
			t.Fatalf("the canonical document has another key: %s", canonical)
		}
	})
}

func FuzzParseManifestPath(f *testing.F) {
	f.Add(ManifestPath(Key{0xab}))
	f.Add(AttemptPrefix(Key{0xab}, "1") + ManifestFile)
	f.Fuzz(func(t *testing.T, object string) {
		if key, ok := ParseManifestPath(object); ok && ManifestPath(key) != object {
			t.Fatalf("%q names %s, whose manifest is at %q", object, key, ManifestPath(key))
		}
	})
}
