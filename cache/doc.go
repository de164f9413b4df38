// Package cache answers which outputs exist, for hundreds of thousands of keys at once, and errs towards a miss: a job
// that runs again costs money, a job that is skipped wrongly costs the result.
//
// # Parts
//
//   - S3 is the truth: an output exists when its manifest does.
//   - The [Ledger] is a DynamoDB table, one item an output, which expires with the output. The [Updater] writes it from
//     S3's notifications, and the ledger's keys are locked meanwhile, so that a retraction waits for a put under way.
//   - The [View] is integer sets in Redis that hold the first 76 to 88 bits of each key. The [Follower] writes it from the ledger's
//     stream and is its only writer.
//   - The [Reconciler] compares the three, slowly and all the time, and has the follower and the updater put right what
//     differs. [RebuildLedger] makes a lost ledger again from the bucket.
//   - The [Refresher] is told which outputs runs rest on, and copies those in place that are past half their life: files, then
//     the manifest, then the ledger's item.
//   - [Cache.Lookup] asks the view; what that does not know, it asks the ledger; what that does not tell stays unknown.
//
// Notifications and stream records are hints about which key changed. What is true of the key is read where it is
// known: the updater reads S3, the follower reads the ledger, strongly consistent. So repetition, disorder and replay
// need no care. The updater remembers of some keys how new the last change was at which it looked; what is no newer it need not
// look at, and nothing but work is lost with that memory.
//
// # Epochs
//
// The view's content belongs to an epoch, a number that is part of every Redis key and never given twice. An epoch is
// Building → Live → Suspect → Live | Retired; Building → Abandoned. Only Live answers. An epoch that a process gave up does not
// answer there again, though the runs table may call it live until that is written.
//
// In Redis an epoch has a sequence number, which grows with each batch of changes, in the same transaction, and once a
// second without any. Whoever reads the view reads the sequence before and after, on the same connection, and compares
// it with what it remembers; a process that remembers nothing takes the number from the runs table. The epoch's keys
// share one hash slot, so that a cluster loses all of them or none. How many outputs the epoch holds stands beside the
// sequence; they are counted when somebody takes the epoch over and whenever there is reason to.
//
// Each epoch has its own number of buckets ([BucketBits]). One that fills up gives way to a larger one, built beside it.
//
//	what happened               what is seen                 who loses
//	Redis was emptied           no sequence                  unknown; the epoch is retired, another is built
//	it was restarted            another run id               nobody: the outputs are counted at once
//	it drops keys               evicted_keys grows           misses, until the outputs are counted, seconds later
//	outputs are missing         another number of them       unknown; the epoch is retired, another is built
//	failover lost some writes   the sequence went backwards  the same
//	an old snapshot came back   backwards, or no sequence    the same
//	a replica lags              backwards to one reader      unknown, until the follower's next write succeeds
//	Redis is slow or away       errors                       unknown for the keys of the failed commands
//
// # Races and their losers
//
//   - A lookup and a removal: once the notification of a deletion is handled, which is when the ledger's item is gone, a
//     lookup may still say hit for three seconds: the stream's lag and the follower's poll. While the follower is away or
//     cut off it is a minute, after which the view no longer answers, until 30 reads in a row of each shard have found nothing
//     more. Hits of a run are verified against S3 before the run
//     counts as a success.
//   - An updater that stands still between its look at S3 and its write, and another controller that handles the next
//     change meanwhile: the first looks again after a write that took long, and writes what has changed; if it dies before
//     that, its message comes again and is looked at again, whatever its sequencer. The wrong item stands until then.
//   - A write that timed out here and takes effect in DynamoDB after a later one: the later one. Where it is a put over a
//     deletion, the item is wrong until the end of a run that counts on it, or a sample, finds that S3 does not have it.
//   - A put that the updater is about to write and a retraction: who comes first holds the key, from its look at S3 until the
//     ledger is written, so that the other sees its effect; and writes of one key are sent one after another, also when the
//     first's caller has left. No lock spans two processes: there the notification of the later change puts it right.
//   - A retraction and an output that is made anew: the retraction looks at S3 once more, and leaves the new one. Where S3
//     does not answer it is forgotten, until any notification of it comes or the ledger is compared with S3. An expired item
//     is written before the deletion, so that the stream tells the follower also of a key that the view alone has.
//   - A scan that builds an epoch and a removal behind its back: the removal wins; removals during a build are applied
//     again, from the ledger, when the pages that were under way are written, and before the epoch goes live. While a build is under way the stream's checkpoints stay where
//     it began: a process that goes on with it reads the removals again.
//   - A pass of reconciliation and a change behind its back: the pass adds nothing without another look at the ledger. It
//     drops what it did not read there, but not what the follower has changed since it began; if it drops something
//     wrongly all the same, that is a miss until a later pass.
//   - A rebuild of the ledger and a deletion in S3: what was written is looked at once more, and removed if it is gone. The
//     item is wrong for as long as that takes; where the process dies in between, until it is tried again or a sample
//     finds it.
//   - A refresh and a retraction, in whatever process: the refresh. It puts the manifest only over the one that it has read, and
//     changes the ledger's item only where there is one of an older output, so that nothing deleted comes back.
//   - A refresh and an output that is made anew: the refresh, in the same way.
//   - Two refreshes: both put the same bytes, and the ledger keeps the later date. The notifications of either change nothing.
//   - Two followers, because a paused one does not know that it has been replaced: each write of the epoch record
//     carries a version, each write of the view the sequence; the older follower finds either ahead of it and ends with
//     [ErrSuperseded], without having changed anything. The newer one's first write raises the sequence by 2³², beyond every
//     write of the older one that may still arrive or never did.
//   - A crash between an effect and its checkpoint: the records are read again, which changes nothing. The sequence is
//     remembered before the checkpoints, so that what is checkpointed cannot be lost from Redis unseen.
//
// # Failure modes
//
// While the ledger's table refuses writes, the updater offers it fewer and receives fewer: the backlog stays on the queue,
// and outputs become hits late. A message that cannot be read, or whose manifest cannot, is parked in the runs table the third
// time; its output counts as absent.
//
// Without Redis, lookups cost one ledger read a key. Without DynamoDB, the view answers for a minute. Without both,
// everything is unknown and jobs run. A stream that is followed more than 20 hours behind, of 24 that it keeps, or that
// was replaced leads to a new epoch. A Redis without memory to write keeps the follower waiting with what it has read. A
// build waits for whatever passes, and is gone on with by the next process; one that cannot be begun is tried again every half
// minute, and the live epoch is followed meanwhile.
//
// # For people
//
// An [Inspector] looks at the services that all this rests on: what could make answers wrong keeps a controller from
// starting. The process that runs the loops saves a [Status] every few seconds. [Witnesses] ask view, ledger and S3 apart
// from one another, for those who want to know which of them says what, to verify them and to take outputs back.
//
// # Neighbours
//
// The planner asks which keys need no job, tells on which outputs a run rests, and retracts outputs that proved gone; the controller runs the updater and
// the follower while it holds the lease. Workers never come here.
package cache
