// Package dynamodb is an in-memory Amazon DynamoDB with DynamoDB Streams and time to live, served over the services' own wire
// protocols (awsJson 1.0).
//
// A [Server] is an http.Handler for requests whose X-Amz-Target begins with DynamoDB_20120810 or DynamoDBStreams_20120810; its Run is
// the sweeper that deletes expired items and trims streams. Everything is lost when the server goes.
//
// A table is one list of records sorted by (hash of the partition key, partition key, sort key), so that look-ups, queries, scans
// and scan segments are all ranges of it. Items are immutable once stored: readers share them, writers replace them. Each table has
// one lock; a transaction takes the locks of its tables in order of their names. Every change goes through one function, which
// also appends to the table's stream: a change and its stream record are one step.
//
// A stream is a tree of shards, each for a range of hashes. A shard is open, or closed with two children; readers finish a parent
// before its children to see each item's changes in order.
//
// How fast tables are, when expired items go and how far streams lag is for [Habits] to say: with [Prompt] nothing is throttled and
// expired items go within a second, with [Usual] it is as with the service.
//
// Where it differs from the service: tables are active at once; every read is strongly consistent;
// transactions that meet wait for each other instead of conflicting; a table's tags, encryption, class and deletion protection are
// accepted and mean nothing; there are
// no secondary indexes, no legacy (pre-expression) parameters, no PartiQL, no backups and no global tables. What it does not know it refuses, as the service would.
//
// Its neighbours: sandbox/dynamodb/attribute (values and items), sandbox/dynamodb/expression (expressions), sandbox/awsjson (the
// protocol).
package dynamodb
