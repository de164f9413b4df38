package demo

import (
	"bytes"
	"fmt"
	"os"
	"text/template"

	"spate/examples/reinsurance"
)

// configFile is the demo's configuration, as it would be written for a small installation.
var configFile = template.Must(template.New("spate.yaml").Parse(`# The demo's configuration. The sandbox creates everything that is named here.
environment: demo
tables: {runs: spate-runs, outputs: spate-outputs}
bucket: spate-data
redis: {url: "{{.Redis}}"}
queues: {submissions: spate-submissions, events: spate-events, outputs: spate-outputs-created}
cache: {retention: 30d}
http: {listen: "127.0.0.1:0"}
pools:
  - name: rollup
    queue: spate-rollup
    cluster: hpc
    task_definition: spate-rollup
    subnets: [subnet-a, subnet-b]
    capacity: [{provider: FARGATE_SPOT, max: {{.Workers}}}, {provider: FARGATE, max: {{.Workers}}}]
    max: {{.Workers}}
    idle_timeout: {{.Idle}}       # 15m where workers cost money
    visibility_timeout: 30s

{{.Tasks}}`)) //nolint:gochecknoglobals // a constant that has no constant form

type configValues struct {
	Redis   string
	Workers int
	Idle    string
	Tasks   string
}

func writeConfig(path string, v configValues) error {
	v.Tasks = reinsurance.Tasks()
	var b bytes.Buffer
	if err := configFile.Execute(&b, v); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
