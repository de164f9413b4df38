package reinsurance_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"spate/examples/reinsurance"
	"spate/examples/reinsurance/model"
	"spate/examples/reinsurance/portfolio"
)

func dealSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir := t.TempDir()
	if err := reinsurance.WriteDealSchema(dir); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, dir, reinsurance.DealSchemaFile)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("deal.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("deal.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// drawnParams are parameters of a deal with, here and there, one that makes no sense, or none.
func drawnParams(t *rapid.T) map[string]any {
	params := map[string]any{}
	odd := rapid.SampledFrom([]int{0, 0, 1, 8}).Draw(t, "odd ones of 40")
	field := func(in map[string]any, name string, good, bad []any) {
		values := good
		if rapid.IntRange(0, 39).Draw(t, "odd "+name) < odd {
			values = bad
		}
		if value := rapid.SampledFrom(values).Draw(t, name); value != nil {
			in[name] = value
		}
	}
	field(params, "attachment", []any{0, 5_000_000, 100_000_000_000_000}, []any{-1, 100_000_000_000_001, 0.5, "5"})
	field(params, "limit", []any{1, 5_000_000}, []any{0, -1, 100_000_000_000_001, true})
	field(params, "annual_deductible", []any{nil, 0, 7}, []any{-1, 1.5})
	field(params, "reinstatements", []any{nil, 0, 1, 99}, []any{-1, 100, 1.5})
	field(params, "reinstatement_rate", []any{nil, 0, 0.5, 10}, []any{-0.5, 10.5, "1"})
	field(params, "premium", []any{nil, 0, 7}, []any{-1})
	field(params, "share", []any{0.001, 1}, []any{0, 1.001, -1})
	field(params, "currency", []any{"USD", "XYZ"}, []any{"usd", "$", "DOLLAR", "", 7})
	field(params, "inuring_priority", []any{1, 99}, []any{0, 100, nil})
	field(params, "market_share", []any{nil, 0.001, 1}, []any{1.001, -1})
	field(params, "periods", []any{1, 10_000_000}, []any{0, 10_000_001, nil})
	if rapid.Bool().Draw(t, "uncertain") {
		u := map[string]any{}
		field(u, "seed", []any{0, 7}, []any{-1, 0.5})
		field(u, "variation", []any{nil, 0.001, 5}, []any{5.001, -1})
		field(u, "group", []any{0, 7}, []any{-1})
		params["uncertainty"] = u
	}
	if rapid.IntRange(0, 39).Draw(t, "odd name") < odd {
		params["limits"] = 5
	}
	return params
}

// The schema is for whoever submits, and all wrong deals of a run are told at once; the model says the same of one.
func TestTheSchemaOfDealsTakesWhatTheModelTakes(t *testing.T) {
	schema, dir := dealSchema(t), t.TempDir()
	agree := func(document []byte) (taken bool) {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			t.Fatal(err)
		}
		invalid := schema.Validate(value)
		// The cedant's losses are the industry's or its own: the schema cannot know which.
		industry := modelRefuses(t, dir, document, "occurrences-x/occurrences.csv")
		own := modelRefuses(t, dir, document, "occurrences-x/occurrences.csv", model.ELTFile)
		if wrong := industry != "" && own != ""; wrong != (invalid != nil) {
			t.Errorf("%s: the schema says %v, the model %q, and of a deal with its own losses %q", document, invalid, industry, own)
		}
		return invalid == nil
	}
	const deal = `{"attachment":0,"limit":1,"share":1,"currency":"USD","inuring_priority":1,"periods":1`
	for more, taken := range map[string]bool{
		"":                                    true,
		`,"market_share":0.1`:                 true,
		`,"uncertainty":{"seed":1,"group":1}`: true,
		`,"uncertainty":{"seed":1,"group":1,"variation":1}`:                          false,
		`,"market_share":0.1,"uncertainty":{"seed":1,"group":1,"variation":1}`:       true,
		`,"market_share":0.1,"uncertainty":{"seed":1,"group":1}`:                     false,
		`,"reinstatement_rate":0`:                                                    true,
		`,"reinstatement_rate":1`:                                                    false,
		`,"reinstatement_rate":1,"reinstatements":1`:                                 false,
		`,"reinstatement_rate":1,"premium":1`:                                        false,
		`,"reinstatement_rate":1,"reinstatements":0,"premium":1`:                     false,
		`,"reinstatement_rate":1,"reinstatements":1,"premium":0`:                     false,
		`,"reinstatement_rate":1,"reinstatements":1,"premium":1`:                     true,
		`,"market_share":0.1,"uncertainty":{"seed":1,"group":1,"variation":1,"x":1}`: false,
	} {
		if agree([]byte(deal+more+"}")) != taken {
			t.Errorf("a deal with %s is taken: %t, want %t", more, !taken, taken)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		document, err := json.Marshal(drawnParams(rt))
		if err != nil {
			rt.Fatal(err)
		}
		if agree(document); t.Failed() {
			rt.FailNow()
		}
	})
}

// modelRefuses returns what the model finds wrong with the parameters of a deal, or nothing. Its inputs are empty files.
func modelRefuses(t *testing.T, dir string, params []byte, inputs ...string) string {
	t.Helper()
	environment := map[string]string{"SPATE_PARAMS": filepath.Join(dir, "params.json"), "SPATE_INPUT_DIR": filepath.Join(dir, "in"), "SPATE_OUTPUT_DIR": filepath.Join(dir, "out")}
	write(t, environment["SPATE_PARAMS"], params)
	if err := os.RemoveAll(environment["SPATE_INPUT_DIR"]); err != nil {
		t.Fatal(err)
	}
	for _, name := range inputs {
		write(t, filepath.Join(environment["SPATE_INPUT_DIR"], name), nil)
	}
	var stderr strings.Builder
	model.Main(t.Context(), []string{model.TaskPrice}, func(name string) string { return environment[name] }, &stderr)
	_, reason, _ := strings.Cut(stderr.String(), "params.json:")
	return strings.TrimSpace(reason)
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheSchemaTakesAllDealsThatAreGenerated(t *testing.T) {
	schema := dealSchema(t)
	p, err := portfolio.Generate(portfolio.Options{Deals: 1000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.WithELT("deal-00017", "s3://b/elt.csv"); err != nil {
		t.Fatal(err)
	}
	for _, deal := range p.Deals {
		document, err := json.Marshal(deal.Terms)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			t.Errorf("%s: %v", deal.ID, err)
		}
	}
}
