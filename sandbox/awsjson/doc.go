// Package awsjson is the plumbing that the sandbox's JSON services share: the
// awsJson1_0 and awsJson1_1 protocols, in which every request is a POST whose
// X-Amz-Target header names an operation and whose body is one JSON object.
//
// A [Mux] finds the [Operation] of a request and writes its result or its
// error; [Handle] makes an Operation of a function over Go structs. The package
// keeps no state. A body that does not parse is answered with
// SerializationException, an unknown operation with UnknownOperationException,
// an error that is not an [Error] with InternalServerError and HTTP 500.
//
// Its neighbours are the services themselves: sandbox/ecs, sandbox/sqs and
// sandbox/dynamodb. Signatures are not looked at.
package awsjson
