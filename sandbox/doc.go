// Package sandbox serves the AWS services that a Fargate workload talks to, over
// their own wire protocols, from memory, on loopback: ECS, SQS, DynamoDB with
// Streams and S3 on one HTTP port, and a Redis beside it. A client needs nothing
// but AWS_ENDPOINT_URL. ECS tasks are real child processes.
//
// A request is told by its X-Amz-Target header; one without is S3's, except
// below /_sandbox/, where the task metadata endpoint, faults, state and health are.
// Signatures are not checked: whoever reaches the port may do anything, so it
// should stay on loopback. Nothing outlives the process.
//
// [New] opens the ports, so that addresses are known before anything runs;
// [Sandbox.Run] serves until its context ends, then stops the tasks (SIGTERM,
// after a grace SIGKILL), waits for them, and closes the ports. Requests are
// answered until the tasks are gone, so that they can finish their work.
//
// With Options.InProcess there are no ports at all: SDK clients go through
// [Sandbox.Transport], and everything runs inside a bubble of testing/synctest.
//
// The package knows AWS and nothing of the programs that use it. Its rooms:
// awsjson (the JSON protocols), fault (failing on demand), ecs, sqs, dynamodb,
// s3.
package sandbox
