package job

import (
	"testing"

	"github.com/go-json-experiment/json"
)

func TestAReplacedOutputIsKnownByEitherName(t *testing.T) {
	tests := map[string]struct {
		replaced, stands Replaced
		want             bool
	}{
		"as it stood":             {Replaced{"e", "a1-x"}, Replaced{"e", "a1-x"}, true},
		"written again":           {Replaced{"e", "a1-x"}, Replaced{"f", "a1-x"}, true},
		"another attempt's":       {Replaced{"e", "a1-x"}, Replaced{"f", "a1-y"}, false},
		"unreadable as it was":    {Replaced{"e", ""}, Replaced{"e", ""}, true},
		"unreadable and new":      {Replaced{"e", ""}, Replaced{"f", ""}, false},
		"by an older program":     {Replaced{"e", ""}, Replaced{"e", "a1-x"}, true},
		"nothing is replaced":     {Replaced{}, Replaced{"e", "a1-x"}, false},
		"nothing by what is none": {Replaced{}, Replaced{"", ""}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.replaced.Is(tt.stands); got != tt.want {
				t.Errorf("it is: %t, want %t", got, tt.want)
			}
		})
	}
}

func TestOlderAndNewerProgramsUnderstandEachOthersReplacedOutputs(t *testing.T) {
	type older struct {
		Replaces string `json:"replaces,omitzero"`
	}
	for name, data := range map[string]func() ([]byte, error){
		"message": func() ([]byte, error) { return json.Marshal(Message{Replaces: Replaced{"e", "a1-x"}}) },
		"planned": func() ([]byte, error) { return json.Marshal(Planned{Replaces: Replaced{"e", "a1-x"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			written, err := data()
			if err != nil {
				t.Fatal(err)
			}
			var old older
			if err := json.Unmarshal(written, &old); err != nil || old.Replaces != "e" {
				t.Errorf("an older program reads %+v of %s, %v", old, written, err)
			}
		})
	}
	written, err := json.Marshal(older{"e"})
	if err != nil {
		t.Fatal(err)
	}
	var m Message
	if err := json.Unmarshal(written, &m); err != nil || m.Replaces != (Replaced{ETag: "e"}) {
		t.Errorf("a message of an older program has %+v, %v", m.Replaces, err)
	}
	var p Planned
	if err := json.Unmarshal(written, &p); err != nil || p.Replaces != (Replaced{ETag: "e"}) {
		t.Errorf("a job planned by an older program has %+v, %v", p.Replaces, err)
	}
}
