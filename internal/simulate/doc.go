// Package simulate answers what-if questions before a night: how soon do so many workers run on such an account, when is
// the work done, and what does it cost.
//
// A discrete-event loop (clock) keeps virtual time. In its world, an account (the sandbox's state machine, sandbox/ecs.Model)
// launches tasks at its limits and draws their fates, workers take jobs and leave when they are idle, and a tally adds up. What launches the
// workers is the scaler's own engine, with its plan, pacing and intents; only its hands are different ones: a call is a
// method of the account and takes the scenario's latency. Models of what others do (peers) launch into the same world,
// for comparison, and are called models.
//
// Everything comes of the scenario and its seed: the same scenario has the same outcome.
//
// Not modelled: the planner (jobs are all there at once, and the demand is exact and prompt), the queue's delays, images
// and inputs that slow each other down, runs that share a pool, controllers that die. A test of controller holds
// the outcome to a run of the real loops in virtual time, on every figure.
package simulate
