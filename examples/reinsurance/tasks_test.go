package reinsurance_test

import (
	"slices"
	"testing"

	"github.com/goccy/go-yaml"

	"spate/examples/reinsurance"
	"spate/examples/reinsurance/portfolio"
)

func TestTheCatalogueHasExactlyTheTasksOfThePortfolio(t *testing.T) {
	var catalogue struct {
		Tasks map[string]struct {
			Command            []string `yaml:"command"`
			InputDir           string   `yaml:"input_dir"`
			OutputDirs         []string `yaml:"output_dirs"`
			Timeout            string   `yaml:"timeout"`
			MaxAttempts        int      `yaml:"max_attempts"`
			PermanentExitCodes []int    `yaml:"permanent_exit_codes"`
			Deterministic      bool     `yaml:"deterministic"`
			ParamsSchema       string   `yaml:"params_schema"`
		} `yaml:"tasks"`
	}
	if err := yaml.UnmarshalWithOptions([]byte(reinsurance.Tasks()), &catalogue, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	p, err := portfolio.Generate(portfolio.Options{Deals: 3, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, job := range p.Jobs() {
		used[job.Task] = true
	}
	for name, task := range catalogue.Tasks {
		if !used[name] {
			t.Errorf("no job uses task %s", name)
		}
		delete(used, name)
		if want := []string{"rollup", name}; !slices.Equal(task.Command, want) {
			t.Errorf("task %s starts %v, want %v", name, task.Command, want)
		}
		if !task.Deterministic || !slices.Equal(task.PermanentExitCodes, []int{65}) || task.MaxAttempts != 3 {
			t.Errorf("task %s: %+v", name, task)
		}
	}
	for name := range used {
		t.Errorf("task %s is not in the catalogue", name)
	}
}
