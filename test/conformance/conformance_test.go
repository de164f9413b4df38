package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"spate/sandbox"
	"spate/test/contract"
)

func TestBoto3DrivesEveryOperationThatIsServed(t *testing.T) {
	text, err := os.ReadFile("clients.py")
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.New(sandbox.Options{InProcess: true, LogDir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	for service, operations := range box.Operations() {
		if len(operations) == 0 {
			t.Errorf("%s serves nothing", service)
		}
		for _, operation := range operations {
			if !strings.Contains(string(text), `"`+operation+`"`) {
				t.Errorf("clients.py does not call %s of %s", operation, service)
			}
		}
	}
}

func TestResultsAreThoseOfTheFacts(t *testing.T) {
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	r, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, tableFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(document), tableBegins+r.table()+tableEnds) {
		t.Errorf("the table of %s is out of date: run make generate", tableFile)
	}
	for _, f := range contract.Facts() {
		for _, s := range servers() {
			verdict := r[f.ID()][s.name]
			switch {
			case !slices.Contains(s.services, f.Service):
			case verdict != contract.Holds && verdict != contract.Differs:
				t.Errorf("%s on %s: %q: run make conformance CONFORMANCE=-update", f.ID(), s.name, verdict)
			}
		}
	}
	if len(r) != len(contract.Facts()) {
		t.Errorf("%d results of %d facts", len(r), len(contract.Facts()))
	}
}

func TestABrokenFactIsAFailureAndAMendedOneIsTold(t *testing.T) {
	f := &findings{results: results{}}
	mended, broken := contract.Exceptions()[0], contract.Facts()[0]
	for _, fact := range contract.Facts() {
		if fact.ID() == mended.Fact {
			f.judge(mended.Server, fact, nil)
		}
	}
	f.judge("nobody", broken, os.ErrInvalid)
	if len(f.notes) != 1 || !strings.Contains(f.notes[0], mended.Fact) {
		t.Errorf("notes %q", f.notes)
	}
	if len(f.failures) != 1 || f.results.count(contract.Broken) != 1 {
		t.Errorf("failures %q", f.failures)
	}
	f.skip("moto", os.ErrNotExist)
	out := &strings.Builder{}
	f.print(out)
	for _, want := range []string{"SKIPPED", "moto: file does not exist", "BROKEN\n  nobody", "NOT NEEDED"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
}
