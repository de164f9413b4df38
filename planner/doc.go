// Package planner runs runs: it takes submissions up, keys their jobs, asks which outputs exist, releases the rest as
// their parents finish, applies what workers say, and writes the outcome.
//
// # States
//
// A run goes Received → Rejected | Planning → Active → Succeeded | Failed. Somebody may ask for it to be cancelled, which
// takes it from Active to Cancelling, until nothing of it is on the queue, and to Cancelled; or for its failed jobs to be
// tried again, which takes it from Failed to Active. A job in a run goes through the states of [job.State]; [Graph] is that
// machine, without I/O, and [Judge] decides about further attempts. Outages change no state: what cannot be done is tried
// again, and the run's record says why it waits.
//
// # What is durable
//
// In the runs table: the run's record, a record of each release (written before its messages are sent, marked after), of
// each failed attempt, and of failures that count no more because somebody had them tried again; requests that nobody has
// answered yet ([Ask]), and those that were, with the answer ([Audit]). In S3: the submission, the normalised manifest, the
// mark of a cancelled run, the results index. All else is derived: a
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
//   - A planner killed between a request and its effect, or its effect and its answer: the request stays in the inbox; the
//     next planner does it, or finds it done, and answers.
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
