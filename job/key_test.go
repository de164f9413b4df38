package job

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// fullDocument has a value in every field. It is a new one each time: tests change it.
func fullDocument() Document {
	return Document{
		Spec: SpecDocument{
			V: DocumentVersion, Namespace: "default", Image: "sha256:1111", Platform: "linux/amd64",
			Task: TaskDocument{
				Name: "price-deal", Command: []string{"python", "-m"}, Before: []string{"a", "b"}, After: []string{"c", "d"},
				OnFailure: []string{"e", "f"}, InputDir: "in", OutputDirs: []string{"out", "logs"},
			},
			Params: jsontext.Value(`{"layers":3}`),
			Inputs: map[string]InputIdentity{"melt.csv": {ETag: "abc", Size: 3, SHA256: strings.Repeat("0", 64)}},
			Env:    map[string]string{"LANG": "C"},
			Run:    "nightly-1",
			Again:  "again-1",
		},
		Parents: map[string]ParentOutputs{"inuring": {Key: Key{1}, Files: []string{"a.csv", "b.csv"}}},
	}
}

// eachChange calls found after each small change of v, which it then takes back: another text or number, a key of a map
// renamed or gone, an element of a list more, less or elsewhere.
func eachChange(t *testing.T, path string, v reflect.Value, found func(path string)) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is empty: give it a value in fullDocument", path)
	}
	change := func(what string, changed reflect.Value) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		v.Set(changed)
		found(path + what)
		v.Set(old)
	}
	switch {
	case v.Type() == reflect.TypeFor[jsontext.Value]():
		change(" another", reflect.ValueOf(jsontext.Value(`{"layers":4}`)))
		change(" renamed", reflect.ValueOf(jsontext.Value(`{"layer":3}`)))
		change(" text", reflect.ValueOf(jsontext.Value(`{"layers":"3"}`)))
		return
	case v.Type() == reflect.TypeFor[Key]():
		change(" another", reflect.ValueOf(Key{1, 1}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			eachChange(t, path+"."+v.Type().Field(i).Name, v.Field(i), found)
		}
	case reflect.String:
		change(" longer", reflect.ValueOf(v.String()+"x"))
	case reflect.Int, reflect.Int64:
		change(" larger", reflect.ValueOf(v.Int()+1).Convert(v.Type()))
	case reflect.Slice:
		for i := range v.Len() {
			eachChange(t, fmt.Sprintf("%s[%d]", path, i), v.Index(i), found)
		}
		change(" one more", reflect.Append(v, reflect.ValueOf("z")))
		change(" one less", v.Slice(0, v.Len()-1))
		if !strings.HasSuffix(path, ".Files") {
			change(" reversed", reflect.ValueOf([]string{v.Index(1).String(), v.Index(0).String()}))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			renamed := reflect.MakeMap(v.Type())
			renamed.SetMapIndex(reflect.ValueOf(key.String()+"x"), v.MapIndex(key))
			change(" renamed", renamed)
			change(" without", reflect.MakeMap(v.Type()))
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(key))
			eachChange(t, path+"["+key.String()+"]", element, func(path string) {
				changed := reflect.MakeMap(v.Type())
				changed.SetMapIndex(key, element)
				old := reflect.New(v.Type()).Elem()
				old.Set(v)
				v.Set(changed)
				found(path)
				v.Set(old)
			})
		}
	default:
		t.Fatalf("%s is a %s: teach this test to change it", path, v.Kind())
	}
}

func TestEveryFieldOfTheDocumentChangesTheKey(t *testing.T) {
	doc := fullDocument()
	key := mustKey(t, doc)
	seen := map[Key]string{key: "the unchanged document"}
	canonicals := map[string]string{}
	eachChange(t, "Document", reflect.ValueOf(&doc).Elem(), func(path string) {
		changed := mustKey(t, doc)
		if other, ok := seen[changed]; ok {
			t.Errorf("%s has the key of %s", path, other)
		}
		seen[changed] = path
		canonical, err := doc.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := canonicals[string(canonical)]; ok {
			t.Errorf("%s has the canonical document of %s", path, other)
		}
		canonicals[string(canonical)] = path
	})
	if len(seen) < 40 {
		t.Errorf("only %d changes were tried", len(seen))
	}
	if mustKey(t, doc) != key {
		t.Error("the changes were not taken back")
	}
}

func mustKey(t testing.TB, doc Document) Key {
	t.Helper()
	key, err := doc.Key()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestWhatOnlyPeopleAndOperationNeedIsNotInTheKey(t *testing.T) {
	common := fullDocument().Spec
	planned := func() Planned {
		return Planned{
			ID: "deal-1", Task: "price-deal", Key: Key{9}, Params: jsontext.Value(`{"layers":3}`),
			Inputs: map[string]PlannedInput{"melt.csv": {URL: "s3://data/melt.csv", InputIdentity: InputIdentity{ETag: "abc", Size: 3}}},
			Needs:  map[string]PlannedNeed{"inuring": {Job: "deal-0", Key: Key{1}, Files: []string{"a", "b"}}},
			Labels: map[string]string{"as_of": "2026-11-21"},
		}
	}
	first := planned()
	want := mustKey(t, first.Document(common))
	for name, change := range map[string]func(*Planned){
		"id":                 func(p *Planned) { p.ID = "deal-2" },
		"labels":             func(p *Planned) { p.Labels = map[string]string{"as_of": "2026-11-22", "desk": "property"} },
		"no labels":          func(p *Planned) { p.Labels = nil },
		"own key":            func(p *Planned) { p.Key = Key{} },
		"where an input is":  func(p *Planned) { setInputURL(p, "s3://archive/2026/melt.csv") },
		"the parent's id":    func(p *Planned) { setNeed(p, "deal-x", []string{"a", "b"}) },
		"the order of files": func(p *Planned) { setNeed(p, "deal-0", []string{"b", "a"}) },
		"notation of params": func(p *Planned) { p.Params = jsontext.Value("{ \"layers\" : 3.0 }") },
	} {
		p := planned()
		change(&p)
		if got := mustKey(t, p.Document(common)); got != want {
			t.Errorf("%s changes the key", name)
		}
	}
	p := planned()
	setNeed(&p, "deal-0", []string{"a"})
	if mustKey(t, p.Document(common)) == want {
		t.Error("fewer files of a parent leave the key as it was")
	}
}

func setInputURL(p *Planned, url string) {
	in := p.Inputs["melt.csv"]
	in.URL = url
	p.Inputs["melt.csv"] = in
}

func setNeed(p *Planned, id string, files []string) {
	need := p.Needs["inuring"]
	need.Job, need.Files = id, files
	p.Needs["inuring"] = need
}

func TestRetriesAndTimeoutsOfATaskTypeAreNotInItsDocument(t *testing.T) {
	task := TaskType{
		Name: "price-deal", Command: []string{"python"}, Before: []string{"a"}, After: []string{"b"}, OnFailure: []string{"c"},
		InputDir: "in", OutputDirs: []string{"out"}, Env: map[string]string{"A": "1"}, Timeout: Duration(time.Hour),
		MaxAttempts: 3, PermanentExitCodes: []int{65}, Deterministic: true, Params: nothingNegative{},
	}
	// Env is a part of the spec document; whether the run is in it follows from Deterministic.
	elsewhere := []string{"Env", "Timeout", "MaxAttempts", "PermanentExitCodes", "Deterministic", "Params"}
	want := task.Document()
	fields := reflect.TypeFor[TaskType]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		changed := task
		reflect.ValueOf(&changed).Elem().Field(i).SetZero()
		if reflect.DeepEqual(changed, task) {
			t.Errorf("%s has no value here: give it one", name)
		}
		if got := reflect.DeepEqual(changed.Document(), want); got != slices.Contains(elsewhere, name) {
			t.Errorf("%s left out of the document: %t", name, got)
		}
	}
}

func TestDocumentsSurviveBeingWrittenAndRead(t *testing.T) {
	doc := fullDocument()
	canonical, err := doc.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseDocument(canonical)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, doc) {
		t.Errorf("got %+v, want %+v", again, doc)
	}
	for _, bad := range []string{
		``, `[]`, `{}`, `{"spec":{"v":2},"parents":{}}`, `{"spec":{"v":1,"priority":3}}`, `{"spec":{"v":1},"Parents":{}}`,
		`{"spec":{"v":1,"v":1}}`, `{"spec":{"v":1}} {}`, `{"spec":{"v":1},"parents":{"a":{"key":"abc"}}}`,
	} {
		if _, err := ParseDocument([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestADocumentThatJSONCannotHoldHasNoKey(t *testing.T) {
	for name, change := range map[string]func(*Document){
		"params that are no JSON": func(d *Document) { d.Spec.Params = jsontext.Value(`{"a":`) },
		"a name twice":            func(d *Document) { d.Spec.Params = jsontext.Value(`{"a":1,"a":2}`) },
		"text that is not UTF-8":  func(d *Document) { d.Spec.Env = map[string]string{"A": "\xff"} },
		"a parent not in UTF-8":   func(d *Document) { d.Parents = map[string]ParentOutputs{"\xff": {Key: Key{1}}} },
	} {
		doc := fullDocument()
		change(&doc)
		if _, err := doc.Key(); err == nil {
			t.Errorf("a document with %s has a key", name)
		}
	}
}

func TestKeysAreReadAsTheyAreWrittenOnly(t *testing.T) {
	key := Key{0xab, 31: 0xcd}
	again, err := ParseKey(key.String())
	if err != nil || again != key {
		t.Errorf("got %s, %v, want %s", again, err, key)
	}
	if got, want := key.Short(), "ab0000000000"; got != want {
		t.Errorf("short key %s, want %s", got, want)
	}
	if key.IsZero() || !(Key{}).IsZero() {
		t.Error("IsZero is wrong")
	}
	for _, bad := range []string{
		"", "ab", strings.Repeat("AB", KeySize), strings.Repeat("g", 2*KeySize), strings.Repeat("0", 2*KeySize+1),
		" " + strings.Repeat("0", 2*KeySize-1), strings.Repeat("é", KeySize),
	} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
