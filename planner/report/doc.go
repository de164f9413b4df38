// Package report reads what runs left behind, in the runs table and in S3, and says what follows from it: which job is
// meant, where each one stands, what two runs differ in and why a job ran. It writes nothing, and needs no controller.
//
// # What it reads
//
// A run's record and its failed attempts; its normalised manifest, which lists parents before their children; its results
// index, once it has ended; and output manifests. Where jobs of a run under way stand follows from the manifest, the
// failures and the outputs that exist, in the way in which a controller that starts derives it.
//
// # Size
//
// Manifests and indexes are streamed, and what is kept of a job is small: a million jobs cost some hundred megabytes.
//
// # Failure modes
//
// What cannot be read is an error, never taken for absent. An output that has expired, or a record that was removed after
// 90 days, is said to be gone. A run that goes on meanwhile may be seen between two of its steps.
//
// # Neighbours
//
// It knows the planner's records and layouts, and asks [Outputs], which the command line connects with the cache's ledger.
package report
