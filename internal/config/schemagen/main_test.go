package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const committed = "../../../docs/config.schema.json"

func TestTheCommittedSchemaIsUpToDate(t *testing.T) {
	want, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/config.schema.json is out of date: run make generate")
	}
}

func TestEveryTypeAndFieldIsDescribed(t *testing.T) {
	comments, err := commentsOf("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, comment := range comments {
		if comment == "" && name != "Task.params" {
			t.Errorf("%s has no doc comment", name)
		}
	}
}

func TestTheSchemaTakesGoodFilesAndRefusesOthers(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(committed)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		file string
		good bool
	}{
		{"../testdata/good/full.yaml", true},
		{"../testdata/good/minimal.yaml", true},
		{"../testdata/bad/unknown-keys.yaml", false},
		{"../testdata/bad/wrong-types.yaml", false},
		{"../testdata/bad/missing.yaml", false},
	} {
		data, err := os.ReadFile(tc.file)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := yaml.YAMLToJSON(data)
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); (err == nil) != tc.good {
			t.Errorf("%s: the schema says %v, want good = %t", tc.file, err, tc.good)
		}
	}
}

func TestDurationsAreWrittenAsAPersonWould(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * 24 * time.Hour: "30d", 15 * time.Minute: "15m", time.Hour: "1h", 90 * time.Second: "1m30s", 10 * time.Second: "10s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%s is written %q, want %q", d, got, want)
		}
	}
}
