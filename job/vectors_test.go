package job

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	stdjson "encoding/json"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// keyVector is an entry of testdata/keys.json, which is for other implementations: README.md beside it says how.
type keyVector struct {
	Name      string         `json:"name"`
	Document  jsontext.Value `json:"document"` // as somebody may write it: absent fields, any order, any notation
	Canonical string         `json:"canonical"`
	SpecHash  string         `json:"spec_sha256"`
	Key       Key            `json:"key"`
}

func keyVectorsFile() string { return filepath.Join("testdata", "keys.json") }

func readKeyVectors(t testing.TB) []keyVector {
	t.Helper()
	data, err := os.ReadFile(keyVectorsFile())
	if err != nil {
		t.Fatal(err)
	}
	var vectors []keyVector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 12 {
		t.Fatalf("%d vectors, want a dozen at least", len(vectors))
	}
	return vectors
}

// derive fills in what the document says.
func (v keyVector) derive(t *testing.T) keyVector {
	t.Helper()
	doc, err := ParseDocument(v.Document)
	if err != nil {
		t.Fatal(err)
	}
	canonical, err := doc.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := doc.Spec.Hash()
	if err != nil {
		t.Fatal(err)
	}
	key, err := doc.Key()
	if err != nil {
		t.Fatal(err)
	}
	return keyVector{v.Name, v.Document, string(canonical), hex.EncodeToString(spec[:]), key}
}

func TestKeysAreThePublishedOnes(t *testing.T) {
	vectors := readKeyVectors(t)
	if *update {
		for i, v := range vectors {
			vectors[i] = v.derive(t)
		}
		data, err := json.Marshal(vectors, jsontext.Multiline(true), jsontext.WithIndent("  "), jsontext.PreserveRawStrings(true))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(keyVectorsFile(), append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			if diff := cmp.Diff(v, v.derive(t)); diff != "" {
				t.Errorf("vector (-published +got):\n%s", diff)
			}
		})
	}
}

func TestPublishedKeysFollowFromTheRulesAlone(t *testing.T) {
	for _, v := range readKeyVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			doc := decodePlain(t, v.Document)
			spec, parents := completeByTheRules(t, doc)
			if got := plainJCS(t, map[string]any{"spec": spec, "parents": parents}); got != v.Canonical {
				t.Errorf("canonical document\ngot  %s\nwant %s", got, v.Canonical)
			}
			specHash := sha256.Sum256([]byte(plainJCS(t, spec)))
			if got := hex.EncodeToString(specHash[:]); got != v.SpecHash {
				t.Errorf("spec hash %s, want %s", got, v.SpecHash)
			}
			key := sha256.Sum256([]byte(plainJCS(t, map[string]any{
				"v": stdjson.Number("1"), "spec": hex.EncodeToString(specHash[:]), "parents": parents,
			})))
			if got := hex.EncodeToString(key[:]); got != v.Key.String() {
				t.Errorf("key %s, want %s", got, v.Key)
			}
		})
	}
}

func TestPublishedKeysFollowInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here to run testdata/keys.py")
	}
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "keys.py"), keyVectorsFile()).CombinedOutput()
	if err != nil {
		t.Fatalf("keys.py: %v\n%s", err, out)
	}
}

func TestPublishedKeysDifferExceptWhereTheyMustNot(t *testing.T) {
	same := [][2]string{
		{"minimal", "minimal, written out"},
		{"parent, all files", "parent, no files named is all files"},
		{"parent, some files", "parent, some files in another order"},
	}
	keys := map[string]Key{}
	for _, v := range readKeyVectors(t) {
		keys[v.Name] = v.Key
	}
	for a, keyA := range keys {
		for b, keyB := range keys {
			want := a == b || slices.Contains(same, [2]string{a, b}) || slices.Contains(same, [2]string{b, a})
			if got := keyA == keyB; got != want {
				t.Errorf("keys of %q and %q equal: %t, want %t", a, b, got, want)
			}
		}
	}
	for _, pair := range same {
		if keys[pair[0]].IsZero() || keys[pair[1]].IsZero() {
			t.Errorf("there are no vectors %q", pair)
		}
	}
}

// completeByTheRules does what README.md says about absent, empty and unsorted parts of a document.
func completeByTheRules(t *testing.T, doc map[string]any) (spec, parents map[string]any) {
	t.Helper()
	object := func(in map[string]any, name string) map[string]any {
		if _, ok := in[name]; !ok {
			in[name] = map[string]any{}
		}
		o, ok := in[name].(map[string]any)
		if !ok {
			t.Fatalf("%s is no object", name)
		}
		return o
	}
	list := func(in map[string]any, name string) []any {
		l, _ := in[name].([]any)
		return l
	}
	spec, parents = object(doc, "spec"), object(doc, "parents")
	object(spec, "params")
	object(spec, "env")
	for name := range object(spec, "inputs") {
		input := object(object(spec, "inputs"), name)
		if input["size"] == stdjson.Number("0") {
			delete(input, "size")
		}
	}
	task := object(spec, "task")
	for _, name := range []string{"command", "output_dirs"} {
		if len(list(task, name)) == 0 {
			task[name] = []any{}
		}
	}
	for _, name := range []string{"before", "after", "on_failure"} {
		if len(list(task, name)) == 0 {
			delete(task, name)
		}
	}
	if task["input_dir"] == nil {
		task["input_dir"] = ""
	}
	for name := range parents {
		parent := object(parents, name)
		files := list(parent, "files")
		if len(files) == 0 {
			delete(parent, "files")
		}
		slices.SortFunc(files, func(a, b any) int {
			return bytes.Compare([]byte(a.(string)), []byte(b.(string))) //nolint:forcetypeassert // a test may panic
		})
	}
	return spec, parents
}
