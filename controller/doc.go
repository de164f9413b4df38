// Package controller is the process that runs Spate: it elects itself, connects planner, scaler and cache, runs their
// loops, and stops all of them when the lease is lost.
//
// # States
//
// Standby (waits for the lease; serves HTTP, so that it can be watched) → Leading (a term: planner, scaler, updater and
// follower run under one fencing number) → Standby. Nothing is kept from one term to the next: each begins from the
// tables and S3. When any loop of a term ends, the term ends, and the lease is given back.
//
// # Failure modes
//
// A killed controller's lease runs out after ten seconds without a renewal, and a standby takes over. A controller that
// cannot reach the runs table loses its term at the lease's expiry at the latest. A paused one that wakes up after its
// term finds its writes refused.
//
// # Neighbours
//
// This is the only package that knows planner, scaler and cache together; connect.go holds what lies between them.
package controller
