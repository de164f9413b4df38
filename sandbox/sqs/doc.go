// Package sqs serves standard SQS queues from memory, over the awsJson1_0
// protocol.
//
// A message is Delayed, Visible or InFlight; a receive makes it InFlight for the
// visibility timeout, after which it is Visible again, and a delete removes it.
// A message received maxReceiveCount times moves to its dead-letter queue when
// it would be received once more; one older than the retention period is gone.
// As in AWS, delivery is at least once, the order is not promised, an old
// receipt handle deletes nothing and says so to nobody, and a queue with 120,000
// messages in flight gives nothing until some are deleted.
//
// Long polls wait in a list per queue and are handed their messages when they
// arrive; nothing polls, so thousands of waiting clients cost nothing. The queue
// itself (queue.go) is a state machine that takes the time as a parameter; one
// lock in [Server] guards all of them.
//
// Failures reach clients in SQS's own codes, with the query protocol's older code
// in the x-amzn-query-error header. Left out: FIFO queues, queue policies and
// tags, encryption, the older query protocol itself. How far depths lag, and what
// comes twice or in another order, is for [Habits] to say.
//
// Its neighbours: sandbox routes requests here; sandbox/s3 sends bucket
// notifications through [Server.Push].
package sqs
