package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What docs/scaling.md quotes of simulations, and its picture, are what the program prints: simulations give the same
// figures each time.
func TestTheScalingPageQuotesWhatSimulationsPrint(t *testing.T) {
	const page, picture = "../../docs/scaling.md", "../../docs/scaling.svg"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	simulate := func(line string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "stdout")
		stdout, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer stdout.Close()
		p := program{strings.NewReader(""), newPage(stdout, "spate", "110"), newPage(os.Stderr, "spate", "110"), nil, func(string) string { return "" }}
		if code := run(p, strings.Fields(line)); code != 0 {
			t.Fatalf("spate %s: exit code %d", line, code)
		}
		printed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(printed)
	}
	var text strings.Builder
	blocks := strings.Split(string(data), "```\n")
	quotes := 0
	for i, block := range blocks {
		if line, _, ok := strings.Cut(block, "\n"); ok && strings.HasPrefix(line, "$ spate simulate") {
			block = line + "\n" + simulate(strings.TrimPrefix(line, "$ spate "))
			quotes++
		}
		text.WriteString(block)
		if i < len(blocks)-1 {
			text.WriteString("```\n")
		}
	}
	if quotes == 0 {
		t.Error("nothing is quoted")
	}
	drawn := filepath.Join(t.TempDir(), "scaling.svg")
	simulate("simulate --workers 3000 --jobs 60000 --job-time 60s --chart " + drawn)
	now, err := os.ReadFile(drawn)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][]byte{page: []byte(text.String()), picture: now} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program says now (%v): rewrite it with -update", path, err)
		}
	}
}
