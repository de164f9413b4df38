package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"spate/test/contract"
)

// results are the verdicts by fact and server.
type results map[string]map[string]contract.Verdict

func (r results) set(fact, server string, v contract.Verdict) {
	if r[fact] == nil {
		r[fact] = map[string]contract.Verdict{}
	}
	r[fact][server] = v
}

func (r results) count(v contract.Verdict) int {
	n := 0
	for _, servers := range r {
		for _, verdict := range servers {
			if verdict == v {
				n++
			}
		}
	}
	return n
}

func (r results) save(root string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("marshal results: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, resultsFile), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

func load(root string) (results, error) {
	text, err := os.ReadFile(filepath.Join(root, resultsFile))
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", resultsFile, err)
	}
	return r, nil
}

// Marks between which the table stands in the document.
const (
	tableBegins = "<!-- facts: written by make generate from test/contract and test/conformance/results.json -->\n"
	tableEnds   = "<!-- end of facts -->\n"
)

// writeTable writes the table into the document.
func writeTable(root string) error {
	r, err := load(root)
	if err != nil {
		return err
	}
	path := filepath.Join(root, tableFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("write table: %s has no place for it", tableFile)
	}
	if err := os.WriteFile(path, []byte(before+tableBegins+r.table()+tableEnds+after), 0o644); err != nil { //nolint:gosec // the path is the checkout's
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// table is a part for each service, with the facts, and what the exceptions say.
func (r results) table() string {
	titles := map[string]string{
		contract.ECS: "ECS", contract.SQS: "SQS", contract.DynamoDB: "DynamoDB", contract.Streams: "DynamoDB Streams", contract.S3: "S3", contract.Redis: "Redis",
	}
	out := &strings.Builder{}
	for _, service := range contract.Services() {
		var names []string
		for _, s := range servers() {
			for _, has := range s.services {
				if has == service {
					names = append(names, s.name)
				}
			}
		}
		fmt.Fprintf(out, "\n### %s\n\n| fact | source | test | %s |\n|---|---|---|%s\n", titles[service], strings.Join(names, " | "), strings.Repeat("---|", len(names)))
		for _, f := range contract.Facts() {
			if f.Service != service {
				continue
			}
			fmt.Fprintf(out, "| %s | %s | %s |", f.Sentence, f.Source, f.Name)
			for _, name := range names {
				fmt.Fprintf(out, " %s |", r[f.ID()][name])
			}
			fmt.Fprintln(out)
		}
	}
	fmt.Fprint(out, "\n### Where they differ\n\n| server | test | what it does instead |\n|---|---|---|\n")
	for _, e := range contract.Exceptions() {
		fmt.Fprintf(out, "| %s | %s | %s |\n", e.Server, e.Fact, e.Instead)
	}
	fmt.Fprintln(out)
	return out.String()
}
