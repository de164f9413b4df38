package config

import "testing"

func TestParamsAreCheckedWithPointers(t *testing.T) {
	c, err := Load("testdata/good/full.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, task, params, want string }{
		{"good", "price-deal", `{"layers":[{"limit":3}]}`, ""},
		{"no schema", "combine", `{"anything":1}`, ""},
		{"no schema, no object", "combine", `[1]`, "must be a JSON object"},
		{"value", "price-deal", `{"layers":[{"limit":3},{"limit":0}]}`, "/layers/1/limit: minimum: got 0, want 1"},
		{"all violations", "price-deal", `{"layers":[{}],"currency":"GBP"}`, "/currency: value must be one of 'USD', 'EUR'\n/layers/0: missing property 'limit'"},
		{"the document", "price-deal", `{}`, "missing property 'layers'"},
		{"no JSON", "price-deal", `{"layers"`, "not a JSON document: unexpected EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := c.Tasks[tc.task].CheckParams([]byte(tc.params)); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
