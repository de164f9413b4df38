// Package worker is the process inside one Fargate task: it receives jobs, stages what they read, runs them, publishes
// what they wrote, reports what became of them, and leaves by itself when there is nothing to do.
//
// # The way of a job
//
//	receive → live output? → stage inputs and parents → before, command, after → files → manifest → event → delete
//
// The order is the guarantee. The manifest is written after all files, so that an output is whole or absent. The message
// is deleted only after the events queue took the event, so that no outcome is lost: a worker that dies in between leaves
// a message that another one answers from the manifest. A job may therefore run more than once; publishing is
// conditional, so that only one output is ever visible, even of a program that writes other bytes each time.
//
// # States
//
// A worker receives until it is idle for its timeout, is told to stop (the context ends), meets a job of another image,
// finds the mark that its pool was drained after it was launched, or has not reached its queue for an idle timeout; then it
// waits for its running jobs and returns the [Reason]. When told to stop, the jobs have the stop grace left; then their
// processes are ended and their messages given back at once.
//
// A message in hand is hidden from others by a heartbeat. It ends deleted (an event said what happened) or given back:
// at once when the worker stops, later when the worker itself could not do its work. In the place of a message for
// another image the worker sends a copy and then deletes it, because a queue counts how often a message came back and
// ends it in the dead-letter queue; if the copy is not taken, the message is given back at once.
//
// # Failure modes
//
//   - The program fails, times out, is killed or cannot be started, or its output cannot be published as it is: a failed
//     event with the cause and the last lines. The planner decides about another attempt.
//   - An input is not what the key says: an input_changed event; nothing is run or published.
//   - A parent's output is missing or corrupt: its manifest is deleted, on the condition that it is still that one, and a
//     parent_lost event names the parent.
//   - S3 refuses to let an input or a parent's output be read, or the output be written, for a reason that does not pass by
//     itself, such as a missing permission: a failed event with what S3 says.
//   - S3 or SQS do not answer: not the job's failure. The call is repeated while the message is held, then the message is
//     given back.
//   - The queue has not answered once half a minute after the start: the worker leaves with [ErrNothingReceived], which the
//     scaler counts as a crash.
//   - A message that cannot be read is left alone until the queue moves it to its dead-letter queue.
//
// Neighbours: the planner sends the messages and reads the events; the scaler starts the workers and configures them by
// the environment that [ReadSettings] reads.
package worker
