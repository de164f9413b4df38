package portfolio

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteRunFile writes the run file: who asks for what, with the jobs in another file, jobsFrom.
func (p Portfolio) WriteRunFile(w io.Writer, jobsFrom string) error {
	var b strings.Builder
	b.WriteString("name: reinsurance-rollup\npool: rollup\nowner: risk\n")
	if len(p.Labels) > 0 {
		b.WriteString("labels: # for people: no result depends on them\n")
		for _, name := range slices.Sorted(maps.Keys(p.Labels)) {
			fmt.Fprintf(&b, "  %s: %s\n", quoted(name), quoted(p.Labels[name]))
		}
	}
	fmt.Fprintf(&b, "jobs_from: %s\n", quoted(jobsFrom))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write run file: %w", err)
	}
	return nil
}

// quoted returns a string as JSON, which is YAML too.
func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always encodes
	}
	return string(text)
}
