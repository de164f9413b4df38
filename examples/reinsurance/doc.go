// Package reinsurance is the example that Spate's demo runs: a nightly risk rollup of a reinsurer on published hurricane
// losses. It holds the catalogue entries of the example's five tasks, with the schema of a deal's parameters, and nothing
// else.
//
// The computation is in package model, which knows only the contract between a job and its surroundings (files and
// environment variables); package portfolio invents the deals and writes them as a run; package draw makes the random
// numbers of both, and package sheet reads CSV files that people bring. Commands rollup and generate are the two as
// programs of their own.
package reinsurance

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed tasks.yaml
var tasks string

//go:embed price-deal.schema.json
var dealSchema []byte

// Tasks returns the YAML document whose tasks section describes the example's task types, to be merged into a
// configuration. Their commands start command rollup, which has to be found on the PATH, and DealSchemaFile has to lie
// beside the configuration.
func Tasks() string {
	return tasks
}

// DealSchemaFile is the name by which the tasks refer to the JSON Schema of a deal's parameters.
const DealSchemaFile = "price-deal.schema.json"

// WriteDealSchema writes that file into a directory.
func WriteDealSchema(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, DealSchemaFile), dealSchema, 0o644); err != nil {
		return fmt.Errorf("write schema of deals: %w", err)
	}
	return nil
}
