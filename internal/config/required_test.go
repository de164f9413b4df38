package config

import (
	"os"
	"strings"
	"testing"
)

func TestEachRequiredLineIsMissedByName(t *testing.T) {
	data, err := os.ReadFile("testdata/good/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for i, line := range lines {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || value == "" || strings.HasPrefix(line, "  - ") {
			continue
		}
		t.Run(key, func(t *testing.T) {
			without := append(append([]string{}, lines[:i]...), lines[i+1:]...)
			_, err := Parse("minimal.yaml", []byte(strings.Join(without, "\n")), nil)
			if err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "is required") {
				t.Errorf("without %q: got %v, want an error that requires it", line, err)
			}
		})
	}
}

func TestAPasswordInTheRedisURLIsNeverPrinted(t *testing.T) {
	for _, url := range []string{"http://:hunter2@cache", "redis://:hunter2@", "redis://:hunter2@cache:port"} {
		_, err := Load("testdata/good/minimal.yaml", []string{"SPATE_REDIS_URL=" + url})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want an error without the password", url, err)
		}
	}
}

func TestKeysOutsideThisFormatAreCalledByTheNearestOne(t *testing.T) {
	for _, tc := range []struct{ word, want string }{
		{"retension", "retention"},
		{"task-definition", "task_definition"},
		{"TaskDefinition", "task_definition"},
		{"mxa", "max"},
		{"Max", "max"},
		{"weight", ""},
		{strings.Repeat("retention", 20), ""},
		{"", ""},
	} {
		if got := nearest(tc.word, []string{"max", "min", "retention", "task_definition"}); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.word, got, tc.want)
		}
	}
}
