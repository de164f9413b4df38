// Package job is Spate's vocabulary: what a job, its key, its output, a run and the messages between the parts look
// like, and how each is parsed, validated and written. It does no I/O and reads no clock.
//
// # Identity
//
// A job's [Key] is the SHA-256 of a canonical JSON [Document] (RFC 8785) of everything its result may depend on:
// namespace, image digest, platform, resolved task type, parameters, identities of its inputs, environment, and the
// keys of its parents. Two jobs of equal key have the same output, whoever asked for it. What only people need (job id,
// run, labels, owner, pool) and what only operation needs (retries, timeouts) is not in the document. testdata/keys.json
// holds vectors for other implementations.
//
// # Formats
//
//   - [RunFile] and [Spec]: what a user submits; YAML or JSON, jobs inline or as JSON lines ([Reader]).
//   - [Planned]: a job of the normalised manifest that the planner stores: keyed, inputs pinned.
//   - [Message]: a job on its way to a worker. [Event]: what a worker says about it.
//   - [Manifest]: the seal of an output; its existence in S3 is what "done" means.
//
// # Failure modes
//
// Parsers of what users write report every error of a file, each an [Error] with file, line and column, gathered in
// [Errors] and sorted by place. Nothing is guessed: unknown fields, duplicate names, integers that a float64 cannot tell
// from their neighbours, YAML that programs read differently and names that a file system would take for something else
// are errors. Parsers of what Spate writes ([ParseMessage], [ParseManifest] and the like) stop at the first error, and refuse
// versions that they do not know.
//
// Every other package imports this one; it imports none of them.
package job
