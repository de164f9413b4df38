package dynamodb_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"spate/sandbox/dynamodb"
)

func (b *bench) streamARN(t testing.TB) *string {
	t.Helper()
	out, err := b.streams.ListStreams(t.Context(), &dynamodbstreams.ListStreamsInput{TableName: aws.String("things")})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Streams) != 1 {
		t.Fatalf("%d streams, want 1", len(out.Streams))
	}
	return out.Streams[0].StreamArn
}

func (b *bench) shards(t testing.TB) []streamtypes.Shard {
	t.Helper()
	out, err := b.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: b.streamARN(t)})
	if err != nil {
		t.Fatal(err)
	}
	return out.StreamDescription.Shards
}

func (b *bench) iterator(t testing.TB, shard *string, kind streamtypes.ShardIteratorType, sequence *string) *string {
	t.Helper()
	out, err := b.streams.GetShardIterator(t.Context(), &dynamodbstreams.GetShardIteratorInput{
		StreamArn: b.streamARN(t), ShardId: shard, ShardIteratorType: kind, SequenceNumber: sequence,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.ShardIterator
}

// drain reads a shard from an iterator until nothing comes; open says whether it can go on.
func (b *bench) drain(t testing.TB, iterator *string, limit int32) (records []streamtypes.Record, open bool) {
	t.Helper()
	for {
		out, err := b.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator, Limit: aws.Int32(limit)})
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, out.Records...)
		if out.NextShardIterator == nil || len(out.Records) == 0 {
			return records, out.NextShardIterator != nil
		}
		iterator = out.NextShardIterator
	}
}

// allRecords reads every shard from its beginning, parents first.
func (b *bench) allRecords(t testing.TB) []streamtypes.Record {
	t.Helper()
	var all []streamtypes.Record
	for _, shard := range b.shards(t) {
		records, _ := b.drain(t, b.iterator(t, shard.ShardId, streamtypes.ShardIteratorTypeTrimHorizon, nil), 7)
		all = append(all, records...)
	}
	return all
}

func pkOf(t testing.TB, r streamtypes.Record) string {
	t.Helper()
	s, ok := r.Dynamodb.Keys["pk"].(*streamtypes.AttributeValueMemberS)
	if !ok {
		t.Fatalf("record without pk: %v", r.Dynamodb.Keys)
	}
	return s.Value
}

func numberOf(t testing.TB, image map[string]streamtypes.AttributeValue, name string) int {
	t.Helper()
	s, ok := image[name].(*streamtypes.AttributeValueMemberN)
	if !ok {
		t.Fatalf("image without %s: %v", name, image)
	}
	n, err := strconv.Atoi(s.Value)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEachChangeIsOneRecordWithBothImages(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", types.StreamViewTypeNewAndOldImages)
	b.put(t, item{"pk": str("a"), "v": num("1")})
	b.put(t, item{"pk": str("a"), "v": num("2")})
	b.put(t, item{"pk": str("a"), "v": num("2.0")}) // changes nothing
	for range 2 {                                   // the second deletes nothing
		if _, err := b.tables.DeleteItem(t.Context(), &client.DeleteItemInput{TableName: aws.String("things"), Key: item{"pk": str("a")}}); err != nil {
			t.Fatal(err)
		}
	}
	records := b.allRecords(t)
	var events []streamtypes.OperationType
	for _, r := range records {
		events = append(events, r.EventName)
		if r.UserIdentity != nil {
			t.Errorf("a client's change carries the identity %v", r.UserIdentity)
		}
	}
	if want := []streamtypes.OperationType{"INSERT", "MODIFY", "REMOVE"}; !slices.Equal(events, want) {
		t.Fatalf("events are %v, want %v", events, want)
	}
	if records[0].Dynamodb.OldImage != nil || records[2].Dynamodb.NewImage != nil {
		t.Error("an insert has an old image or a removal a new one")
	}
	if was, is := numberOf(t, records[1].Dynamodb.OldImage, "v"), numberOf(t, records[1].Dynamodb.NewImage, "v"); was != 1 || is != 2 {
		t.Errorf("the modification shows %d → %d, want 1 → 2", was, is)
	}
	if records[0].Dynamodb.ApproximateCreationDateTime.IsZero() {
		t.Error("a record has no time")
	}
}

func TestAStreamOfKeysShowsNoImages(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", types.StreamViewTypeKeysOnly)
	b.put(t, item{"pk": str("a"), "v": num("1")})
	record := b.allRecords(t)[0]
	if pkOf(t, record) != "a" || record.Dynamodb.NewImage != nil {
		t.Errorf("record shows %v, %v", record.Dynamodb.Keys, record.Dynamodb.NewImage)
	}
}

func TestEachItemsChangesStayInOrderAcrossSplits(t *testing.T) {
	b := newBench(t, dynamodb.Options{StreamShards: 3})
	b.createTable(t, "", types.StreamViewTypeNewImage)
	const items, rounds = 12, 30
	for round := range rounds {
		for i := range items {
			b.put(t, item{"pk": str(fmt.Sprint(i)), "round": num(fmt.Sprint(round))})
		}
		if round%10 == 5 {
			if err := b.server.SplitStream("things"); err != nil {
				t.Fatal(err)
			}
		}
	}
	next := make(map[string]int)
	for _, r := range b.allRecords(t) {
		pk := pkOf(t, r)
		if round := numberOf(t, r.Dynamodb.NewImage, "round"); round != next[pk] {
			t.Fatalf("item %s: round %d after %d", pk, round, next[pk]-1)
		}
		next[pk]++
	}
	for pk, n := range next {
		if n != rounds {
			t.Errorf("item %s has %d records, want %d", pk, n, rounds)
		}
	}
	if len(next) != items {
		t.Errorf("%d items in the stream, want %d", len(next), items)
	}
}

func TestASplitClosesAParentAndNamesItInItsChildren(t *testing.T) {
	b := newBench(t, dynamodb.Options{StreamShards: 1})
	b.createTable(t, "", types.StreamViewTypeNewImage)
	b.put(t, item{"pk": str("a")})
	if err := b.server.SplitStream("things"); err != nil {
		t.Fatal(err)
	}
	shards := b.shards(t)
	if len(shards) != 3 {
		t.Fatalf("%d shards, want 3", len(shards))
	}
	parent := shards[0]
	if parent.SequenceNumberRange.EndingSequenceNumber == nil {
		t.Error("the parent is still open")
	}
	b.put(t, item{"pk": str("b")})
	old, open := b.drain(t, b.iterator(t, parent.ShardId, streamtypes.ShardIteratorTypeTrimHorizon, nil), 10)
	if open {
		t.Error("a closed shard, read to its end, has a next iterator")
	}
	if len(old) != 1 {
		t.Errorf("the closed shard has %d records, want the one from before the split", len(old))
	}
	for _, child := range shards[1:] {
		if aws.ToString(child.ParentShardId) != *parent.ShardId || child.SequenceNumberRange.EndingSequenceNumber != nil {
			t.Errorf("child %v", child)
		}
	}
}

func TestIteratorsStartWhereTheyAreAsked(t *testing.T) {
	b := newBench(t, dynamodb.Options{StreamShards: 1})
	b.createTable(t, "", types.StreamViewTypeNewImage)
	for i := range 5 {
		b.put(t, item{"pk": str("a"), "v": num(fmt.Sprint(i))})
	}
	shard := b.shards(t)[0].ShardId
	all, open := b.drain(t, b.iterator(t, shard, streamtypes.ShardIteratorTypeTrimHorizon, nil), 2)
	if len(all) != 5 || !open {
		t.Fatalf("%d records, open %v", len(all), open)
	}
	latest := b.iterator(t, shard, streamtypes.ShardIteratorTypeLatest, nil)
	b.put(t, item{"pk": str("a"), "v": num("5")})
	third := all[2].Dynamodb.SequenceNumber
	for name, row := range map[string]struct {
		iterator *string
		first    int
	}{
		"latest": {latest, 5},
		"at":     {b.iterator(t, shard, streamtypes.ShardIteratorTypeAtSequenceNumber, third), 2},
		"after":  {b.iterator(t, shard, streamtypes.ShardIteratorTypeAfterSequenceNumber, third), 3},
	} {
		records, _ := b.drain(t, row.iterator, 100)
		if len(records) == 0 || numberOf(t, records[0].Dynamodb.NewImage, "v") != row.first || len(records) != 6-row.first {
			t.Errorf("%s: %d records, want those from %d to 5", name, len(records), row.first)
		}
	}
}

func TestAnInvalidIteratorIsRefused(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	for _, text := range []string{"x", "arn|1|!!!", "arn|1|e30=", "|1|"} {
		_, err := b.streams.GetRecords(t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: aws.String(text)})
		if err == nil {
			t.Errorf("iterator %q was accepted", text)
		}
	}
	_, err := b.streams.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: aws.String("arn:aws:dynamodb:us-east-1:000000000000:table/none/stream/2026")})
	if _, ok := errors.AsType[*streamtypes.ResourceNotFoundException](err); !ok {
		t.Errorf("describing an unknown stream: %v", err)
	}
}

func TestAStreamCanBeReadAfterItWasTurnedOff(t *testing.T) {
	b := newBench(t, dynamodb.Options{StreamShards: 1})
	b.createTable(t, "", types.StreamViewTypeNewImage)
	b.put(t, item{"pk": str("seen")})
	out, err := b.tables.UpdateTable(t.Context(), &client.UpdateTableInput{
		TableName: aws.String("things"), StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(false)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.TableDescription.StreamSpecification != nil {
		t.Error("the table still describes its stream as enabled")
	}
	b.put(t, item{"pk": str("unseen")})
	records := b.allRecords(t)
	if len(records) != 1 || pkOf(t, records[0]) != "seen" {
		t.Errorf("records are %v", records)
	}
}
