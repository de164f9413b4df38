package contract

// Exception is a way in which a server is known to differ from AWS; the fact's source is the document that says what AWS does.
type Exception struct {
	// Server is the one that differs, as test/conformance names it.
	Server string
	// Fact is the ID of the fact that does not hold there.
	Fact string
	// Instead is what that server does.
	Instead string
}

// Sandbox is the server that the facts' own test starts.
const Sandbox = "sandbox"

// Exceptions are all that are known.
func Exceptions() []Exception {
	return []Exception{
		{"dynamodb-local", "dynamodb/unsigned", "it wants an access key, as AWS does"},
		{"elasticmq", "sqs/batch-id-characters", "any id is accepted"},
		{"elasticmq", "sqs/batch-of-none", "it succeeds"},
		{"elasticmq", "sqs/batch-too-long", "the code is InvalidAttributeValue"},
		{"elasticmq", "sqs/characters", "the code is InvalidAttributeValue"},
		{"elasticmq", "sqs/delete-twice", "the second time it is ReceiptHandleIsInvalid"},
		{"elasticmq", "sqs/message-of-1-mib", "a larger maximum is accepted"},
		{"elasticmq", "sqs/poll-of-20-seconds", "the code is InvalidAttributeValue"},
		{"elasticmq", "sqs/receive-ten", "the code is InvalidAttributeValue"},
		{"elasticmq", "sqs/redrive-needs-a-queue", "the code is QueueDoesNotExist"},
		{"elasticmq", "sqs/too-long", "the queue's maximum is not looked at"},
		{"elasticmq", "sqs/visibility-limit", "any time is accepted"},
		{"moto", "ecs/cluster-counts", "Fargate tasks are not counted"},
		{"moto", "ecs/describe-missing", "unknown tasks are left out, without a failure"},
		{"moto", "ecs/stop-tells-why", "there is no stop code"},
		{"moto", "ecs/definition-needs-containers", "it is accepted"},
		{"moto", "ecs/definitions-listed", "the order asked for is not looked at"},
		{"moto", "ecs/describe-100", "any number is accepted"},
		{"moto", "ecs/exit-tells-code", "tasks are no processes, and never end by themselves"},
		{"moto", "ecs/family-is-newest-active", "the newest revision is found, active or not"},
		{"moto", "ecs/inactive-definition", "it is launched"},
		{"moto", "ecs/launches-are-throttled", "nothing is throttled"},
		{"moto", "ecs/list-bad-token", "pages are not looked at"},
		{"moto", "ecs/list-page-of-100", "pages are not looked at"},
		{"moto", "ecs/list-pages", "all tasks are on one page"},
		{"moto", "ecs/list-running", "the desired status is not looked at"},
		{"moto", "ecs/no-tasks-a-call", "it succeeds and launches nothing"},
		{"moto", "ecs/overrides-length", "any length is accepted"},
		{"moto", "ecs/overrides-name-a-container", "any name is accepted"},
		{"moto", "ecs/spot-has-its-own-bucket", "nothing is throttled"},
		{"moto", "ecs/started-by-alone", "other filters are accepted"},
		{"moto", "ecs/started-by-length", "any length is accepted"},
		{"moto", "ecs/stop-unknown", "the server fails"},
		{"moto", "ecs/strategy-spreads", "all tasks go to the first provider"},
		{"moto", "ecs/task-starts", "a task does not tell when it was created and started"},
		{"moto", "ecs/ten-tasks-a-call", "any number is launched"},
		{"moto", "ecs/token-conflict", "the token is not looked at"},
		{"moto", "ecs/token-length", "the token is not looked at"},
		{"moto", "ecs/token-repeats", "the token is not looked at: each request launches"},
		{"moto", "ecs/unknown-operation", "the server fails"},
		{"moto", "ecs/unsigned", "the request is taken for one of S3"},
		{"moto", "sqs/redrive-needs-a-queue", "the code is NonExistentQueue"},
		{"moto", "sqs/unsigned", "the request is taken for one of S3"},
		{"moto", "sqs/unknown-attribute", "any attribute is accepted"},
		{"moto", "sqs/message-of-1-mib", "a larger maximum is accepted"},
		{"moto", "sqs/characters", "any characters are accepted"},
		{"moto", "sqs/unknown-operation", "the server fails"},
		{"moto", "dynamodb/unsigned", "the request is taken for one of S3"},
		{"moto", "dynamodb/transaction-token-conflict", "the token is not looked at"},
		{"moto", "dynamodb/transaction-repeats", "the token is not looked at: it is done twice"},
		{"moto", "dynamodb/batch-of-26", "it is accepted"},
		{"moto", "dynamodb/item-of-400-kb", "the limit is a little lower"},
		{"moto", "dynamodb/number-of-39-digits", "it is accepted"},
		{"moto", "dynamodb/unknown-operation", "the server fails"},
		{"moto", "dynamodb/expression-of-unknown-value", "the server fails"},
		{"moto", "dynamodb/ttl-deletes", "nothing is deleted"},
		{"moto", "dynamodb/ttl-in-seconds", "nothing is deleted"},
		{"moto", "streams/limit-of-1000", "any number is accepted"},
		{"moto", "streams/no-change-no-record", "it makes a record"},
		{"moto", "streams/unknown-operation", "the server fails"},
		{"moto", "streams/bad-iterator", "the server fails"},
		{"moto", "streams/disabled-stream-ends", "the stream cannot be described any more"},
		{"moto", "streams/ttl-is-the-services", "nothing is deleted"},
		{"moto", "s3/notification-needs-a-queue", "it is accepted"},
		{"moto", "s3/unsigned", "it is refused, as by AWS"},
		{"moto", "s3/copy-on-condition", "the condition is not looked at"},
		{"moto", "s3/delete-1001", "any number is deleted"},
		{"moto", "s3/checksum-checked", "the checksum is not checked"},
		{"moto", "s3/checksum-kept", "the checksum is not given back"},
		{"moto", "s3/part-copied-on-condition", "the condition is not looked at"},
		{"moto", "s3/parts-aborted", "the server fails"},
		{"moto", "s3/notified-of-put", "the key is not encoded as in a form, and there is no sequencer"},
		{"moto", "s3/notified-of-suffix", "slashes of the key are encoded too"},
		{"moto", "s3/notified-sequence", "there is no sequencer"},
		{Sandbox, "s3/parts-etag", "the ETag of an object that was put together of parts is the MD5 of the whole"},
		{Sandbox, "s3/part-too-small", "parts may be of any size"},
		{Sandbox, "redis/eviction-policy", "the embedded Redis does not tell its eviction policy; a real one does (--redis-server)"},
	}
}

// Verdict is what became of a fact on a server.
type Verdict string

// The verdicts. Only Broken is a failure; Mended asks for its exception to be taken away.
const (
	Holds   Verdict = "holds"
	Differs Verdict = "differs" // as an exception says
	Mended  Verdict = "mended"  // it holds, and an exception says that it does not
	Broken  Verdict = "BROKEN"
)

// Judge says what the outcome of a check (nil: it held) means on a server. A Differs comes with its exception.
func Judge(server string, f Fact, outcome error) (Verdict, Exception) {
	for _, e := range Exceptions() {
		if e.Server != server || e.Fact != f.ID() {
			continue
		}
		if outcome == nil {
			return Mended, e
		}
		return Differs, e
	}
	if outcome == nil {
		return Holds, Exception{}
	}
	return Broken, Exception{}
}
