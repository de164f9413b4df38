// Package contract says what Spate relies on in the services that it uses: one [Fact] for each thing, checked through the
// services' SDK clients alone, so that the same facts hold the sandbox, servers that others wrote, and AWS itself to account.
//
// A fact makes what it needs (a queue, a table, a cluster of its own), does, looks, and fails with a sentence. Facts know no
// server: [Target] says where one is. Where a server is known to differ from AWS, an [Exception] says how; [Judge] tells that from
// a failure. A fact that needs time waits for it on the clock it is run by: inside a bubble of [testing/synctest] hours cost nothing.
//
// Its test runs every fact on the sandbox, in virtual time, and those of Redis on a real server too where there is one. With
// SPATE_CONTRACT_ECS, _SQS, _DYNAMODB, _STREAMS, _S3 or _REDIS set to a URL, that service's facts run against the server there instead
// (S3's notifications go to the queues at SPATE_CONTRACT_SQS); SPATE_CONTRACT_SERVER names it, so that its exceptions count.
// Its neighbour, test/conformance, runs them against servers by others.
package contract
