package planner

import (
	"fmt"
	"strings"
	"testing"
)

func TestASpoolsLinesAreReadInAnyOrder(t *testing.T) {
	const lines = 3*blockLines + 5
	want := make([]string, lines)
	for i := range want {
		want[i] = fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i*i%97))
	}
	for name, text := range map[string]string{
		"whole": strings.Join(want, ""), "without the last line's end": strings.TrimSuffix(strings.Join(want, ""), "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := spoolFrom(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if s.len() != lines {
				t.Fatalf("%d lines, want %d", s.len(), lines)
			}
			in, other := s.reader(), s.reader()
			for i := range 2 * lines {
				for _, at := range []int{i % lines, (i * 31) % lines} {
					got, err := in.line(at)
					if err != nil || string(got) != want[at] {
						t.Fatalf("line %d is %q, %v; want %q", at, got, err, want[at])
					}
					if got, err := other.line(lines - 1 - at); err != nil || string(got) != want[lines-1-at] {
						t.Fatalf("another reader: line %d is %q, %v", lines-1-at, got, err)
					}
				}
			}
		})
	}
}
