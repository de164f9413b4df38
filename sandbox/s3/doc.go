// Package s3 serves S3 buckets from memory, addressed by path.
//
// The library gofakes3 answers for buckets, listings, multipart uploads and
// deletions of many keys. [Server] stands in front of it and answers for single
// objects itself, because there the library lacks conditional reads and deletes,
// the copies' metadata directive, uploads with checksums in trailers, and
// checksums at all; and for bucket notifications to SQS queues. Behind both
// stands a store of our own, whose conditional writes are one step under the
// bucket's lock and whose listings by prefix stay quick with hundreds of
// thousands of keys.
//
// An object is absent or present; each put replaces it whole, and readers never
// see half of one. Every change takes the next sequencer number while the
// bucket is locked, and its notifications are sent after that, so that they may
// arrive out of order, as AWS's may. A notification that cannot be delivered is
// logged and lost.
//
// How fast prefixes are, how late and how often notifications come, whether
// conditional writes meet others and whether ETags are digests is for [Habits] to say. Lifecycle rules expire
// objects at the midnight after their days; the notification of that is
// LifecycleExpiration:Delete, and none of ObjectRemoved.
//
// Left out: versions, access control, tags; a request for them
// is answered with NotImplemented and logged. The completion of a multipart upload takes
// no conditions, and its object's ETag is the MD5 of the whole.
//
// Its neighbour is sandbox, which sends here what no other service claims, and
// connects notifications with sandbox/sqs.
package s3
