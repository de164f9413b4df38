package telemetry_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"spate/internal/telemetry"
)

func TestLinesAreJSONWithATimeAndOfTheirLevel(t *testing.T) {
	for level, want := range map[string]string{
		"debug": "debug info warn", "info": "info warn", "": "info warn", "loud": "info warn", "warn": "warn", "disabled": "",
	} {
		var out bytes.Buffer
		log := telemetry.Logger(&out, level)
		log.Debug().Msg("m")
		log.Info().Msg("m")
		log.Warn().Msg("m")
		var got []string
		for line := range strings.Lines(out.String()) {
			var entry struct {
				Level, Message string
				Time           time.Time
			}
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Message != "m" || time.Since(entry.Time) > time.Hour {
				t.Errorf("line is %s, error %v", line, err)
			}
			got = append(got, entry.Level)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("level %q writes %v, want %s", level, got, want)
		}
	}
}

func TestARegistryHasTheProcesssMetricsAndIsNotShared(t *testing.T) {
	for range 2 {
		families, err := telemetry.Registry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, f := range families {
			names[f.GetName()] = true
		}
		if !names["go_goroutines"] {
			t.Errorf("no go_goroutines among %d families", len(families))
		}
	}
}
