package demo

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"spate/examples/reinsurance"
)

// configFile is the demo's configuration, as it would be written for a small installation.
//
//go:embed spate.yaml.tmpl
var configFile string

type configValues struct {
	Redis   string
	Workers int
	Idle    string
	Tasks   string
}

func writeConfig(path string, v configValues) error {
	v.Tasks = reinsurance.Tasks()
	file, err := template.New("spate.yaml").Parse(configFile)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	var b bytes.Buffer
	if err := file.Execute(&b, v); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return reinsurance.WriteDealSchema(filepath.Dir(path))
}
