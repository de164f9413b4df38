// Package demo shows the main job on real data: it starts the sandbox, a controller and, through RunTask, workers; it
// submits the reinsurance rollup four times (first, unchanged, with other labels, with some deals changed) and tells
// what was run and what was not.
//
// Nothing in it is a special case: the configuration is a file like anybody's, the runs are submitted as the command
// line does it, the figures are read from the runs' records and outputs, and the counts of workers from ECS. What must
// be run again after a change is computed by the example's own look at the dependency graph.
package demo
