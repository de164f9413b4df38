// Package planner runs runs: it takes submissions up, keys their jobs, asks which outputs exist, releases the rest as
// their parents finish, applies what workers say, and writes the outcome.
//
// # States
//
// A run goes Received → Rejected | Planning → Active → Succeeded | Failed. A job in a run goes through the states of
// [job.State]; [Graph] is that machine, without I/O, and [Judge] decides about further attempts. Outages change no
// state: what cannot be done is tried again, and the run's record says why it waits.
//
// # What is durable
//
// In the runs table: the run's record, a record of each release (written before its messages are sent, marked after) and
// of each failed attempt. In S3: the submission, the normalised manifest, the results index. All else is derived: a
// planner that starts reads the manifest, asks the cache and S3 what exists, replays failures and releases, and sends
// again only what was not marked. Which outputs exist is never taken from a counter, an event or the queue.
//
// # Failure modes
//
//   - An event lost, repeated or late: applied level-triggered; a job silent for a minute is looked for in S3.
//   - A message lost: when the queue has shown nothing at all for three minutes, what S3 denies is sent again.
//   - A job that kills its workers: its message ends on the dead-letter queue, and counts as a failed attempt.
//   - A planner killed anywhere: the next one derives its state; the worst is a message sent twice, and a worker that
//     finds the output there.
//   - A planner that was paused and replaced: the next one has claimed its runs with a higher fencing number before it
//     reads them, so that whatever the older one writes of them fails, and it stops.
//   - An answer to a write lost: the write is repeated, and what it finds of its own is no conflict.
//   - A cache that cannot answer: unknown counts as a miss; workers look for the output before they run.
//   - A hit whose output is gone: found when the run's hits are checked in S3 before it ends; the job runs after all.
//
// # Neighbours
//
// It declares the interfaces it needs ([Outputs], [Images], [JobQueue], …); the controller connects the cache, the task
// definitions and the queues. [Planner.Demand] is what the scaler sees of it.
package planner
