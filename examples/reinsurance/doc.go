// Package reinsurance is the example that Spate's demo runs: a nightly risk rollup of a reinsurer on published hurricane
// losses. It holds the catalogue entries of the example's five tasks and nothing else.
//
// The computation is in package model, which knows only the contract between a job and its surroundings (files and
// environment variables); package portfolio invents the deals and writes them as a run; package draw makes the random
// numbers of both, and package sheet reads CSV files that people bring. Commands rollup and generate are the two as
// programs of their own.
package reinsurance

import _ "embed"

//go:embed tasks.yaml
var tasks string

// Tasks returns the YAML document whose tasks section describes the example's task types, to be merged into a
// configuration. Their commands start command rollup, which has to be found on the PATH.
func Tasks() string {
	return tasks
}
