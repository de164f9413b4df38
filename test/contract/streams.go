package contract

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

const (
	streamGuide = "Amazon DynamoDB developer guide, change data capture for DynamoDB Streams"
	apiRecords  = "Amazon DynamoDB API reference, GetRecords"
	apiIterator = "Amazon DynamoDB API reference, GetShardIterator"
)

func streamsFacts() []Fact {
	return []Fact{
		{Name: "images", Sentence: "Each change makes a record of its kind with the images of before and after", Source: streamGuide, check: recordImages},
		{Name: "no-change-no-record", Sentence: "A put that changes nothing makes no record", Source: streamGuide, check: noChangeNoRecord},
		{Name: "in-order", Sentence: "The records of one item come in the order of its changes, with growing sequence numbers", Source: streamGuide, check: recordsInOrder},
		{Name: "each-once", Sentence: "Each change of a batch is in the stream once", Source: streamGuide, check: recordsOnce},
		{Name: "latest", Sentence: "An iterator from LATEST sees only what comes after it", Source: apiIterator, check: latest},
		{Name: "after-sequence-number", Sentence: "An iterator from AFTER_SEQUENCE_NUMBER goes on behind a record", Source: apiIterator, check: afterSequenceNumber},
		{Name: "ttl-is-the-services", Sentence: "A deletion by time to live is a REMOVE whose identity is the service's", Source: dynamoTTL, check: ttlIsTheServices},
		{Name: "disabled-stream-ends", Sentence: "Switching a stream off closes its shards: their iterators end, and what they hold can still be read", Source: streamGuide, check: disabledStreamEnds},
		{Name: "listed-by-table", Sentence: "ListStreams finds a table's stream", Source: "Amazon DynamoDB API reference, ListStreams", check: listedByTable},
		{Name: "unknown-stream", Sentence: "A stream that there is not is a ResourceNotFoundException", Source: "Amazon DynamoDB API reference, DescribeStream", check: unknownStream},
		{Name: "limit-of-1000", Sentence: "More than 1,000 records a call are a ValidationException", Source: apiRecords, check: limitOf1000},
		{Name: "bad-iterator", Sentence: "An iterator that never was is refused", Source: apiRecords, check: badIterator},
		{Name: "unknown-operation", Sentence: "An unknown operation is an UnknownOperationException", Source: "AWS JSON 1.0 protocol (Smithy)", check: unknownStreamsOperation},
	}
}

// watched is a table whose changes go to a stream.
type watched struct {
	*table
	reader *dynamodbstreams.Client
}

func (p *probe) streams(options ...func(*dynamodbstreams.Options)) *dynamodbstreams.Client {
	return dynamodbstreams.NewFromConfig(p.target.config(), options...)
}

func (p *probe) watched() *watched {
	return &watched{reader: p.streams(), table: p.makeTable(func(in *dynamodb.CreateTableInput) {
		in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages}
	})}
}

// shards are the stream's, all pages of them.
func (w *watched) shards() []streams.Shard {
	var all []streams.Shard
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &w.stream}
	for {
		d := must(w.reader.DescribeStream(w.ctx, in)).StreamDescription
		all = append(all, d.Shards...)
		if in.ExclusiveStartShardId = d.LastEvaluatedShardId; in.ExclusiveStartShardId == nil {
			return all
		}
	}
}

func (w *watched) iterator(shard *string, kind streams.ShardIteratorType, after *string) *string {
	return must(w.reader.GetShardIterator(w.ctx, &dynamodbstreams.GetShardIteratorInput{
		StreamArn: &w.stream, ShardId: shard, ShardIteratorType: kind, SequenceNumber: after,
	})).ShardIterator
}

// cursor reads a stream on from where it is.
type cursor struct {
	*watched
	kind      streams.ShardIteratorType
	iterators map[string]*string // by shard; nil for one that has ended
	all       []streams.Record
	shard     map[string]string // of each record, by sequence number
}

func (w *watched) from(kind streams.ShardIteratorType) *cursor {
	c := &cursor{watched: w, kind: kind, iterators: map[string]*string{}, shard: map[string]string{}}
	c.open()
	return c
}

func (c *cursor) open() {
	for _, s := range c.shards() {
		if _, known := c.iterators[*s.ShardId]; !known {
			c.iterators[*s.ShardId] = c.iterator(s.ShardId, c.kind, nil)
		}
	}
}

// read reads each shard once.
func (c *cursor) read() {
	for id, iterator := range c.iterators {
		if iterator == nil {
			continue
		}
		out := must(c.reader.GetRecords(c.ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator}))
		c.iterators[id] = out.NextShardIterator
		for _, r := range out.Records {
			c.all = append(c.all, r)
			c.shard[*r.Dynamodb.SequenceNumber] = id
		}
	}
}

// until reads until there are so many records.
func (c *cursor) until(count int) []streams.Record {
	c.eventually("the records are in the stream", func() bool {
		c.read()
		return len(c.all) >= count
	})
	require(len(c.all) == count, "%d records, want %d", len(c.all), count)
	return c.all
}

// said is an attribute of an image.
func said(image map[string]streams.AttributeValue, name string) string {
	if v, ok := image[name].(*streams.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

func recordImages(p *probe) {
	w := p.watched()
	w.put(with(at("a", "b"), "v", text("1")))
	w.put(with(at("a", "b"), "v", text("2")))
	must(w.client.DeleteItem(p.ctx, &dynamodb.DeleteItemInput{TableName: &w.name, Key: at("a", "b")}))
	var got []string
	for _, r := range w.from(streams.ShardIteratorTypeTrimHorizon).until(3) {
		require(said(r.Dynamodb.Keys, "pk") == "a" && said(r.Dynamodb.Keys, "sk") == "b", "keys %v", r.Dynamodb.Keys)
		got = append(got, string(r.EventName)+" "+said(r.Dynamodb.OldImage, "v")+">"+said(r.Dynamodb.NewImage, "v"))
	}
	require(slices.Equal(got, []string{"INSERT >1", "MODIFY 1>2", "REMOVE 2>"}), "records %v", got)
}

func noChangeNoRecord(p *probe) {
	w := p.watched()
	w.put(with(at("a", "b"), "v", text("1")))
	w.put(with(at("a", "b"), "v", text("1")))
	w.put(with(at("a", "b"), "v", text("2")))
	records := w.from(streams.ShardIteratorTypeTrimHorizon).until(2)
	require(said(records[1].Dynamodb.NewImage, "v") == "2", "the second record is of %v", records[1].Dynamodb.NewImage)
}

func recordsInOrder(p *probe) {
	w := p.watched()
	var want, got []string
	for _, v := range numbered("v-", 30) {
		w.put(with(at("a", "b"), "v", text(v)))
		want = append(want, v)
	}
	last := ""
	for _, r := range w.from(streams.ShardIteratorTypeTrimHorizon).until(30) {
		got = append(got, said(r.Dynamodb.NewImage, "v"))
		// Sequence numbers have 21 to 40 digits: the longer is the larger.
		number := strings.Repeat("0", 40-min(40, len(*r.Dynamodb.SequenceNumber))) + *r.Dynamodb.SequenceNumber
		require(number > last, "sequence number %s follows %s", number, last)
		last = number
	}
	require(slices.Equal(got, want), "order %v", got)
}

func recordsOnce(p *probe) {
	w := p.watched()
	want := slices.Concat(w.fill("a", 25), w.fill("b", 25))
	var got []string
	for _, r := range w.from(streams.ShardIteratorTypeTrimHorizon).until(50) {
		got = append(got, said(r.Dynamodb.Keys, "sk"))
	}
	require(same(got, want), "records of %v", got)
}

func latest(p *probe) {
	w := p.watched()
	w.put(at("a", "before"))
	w.from(streams.ShardIteratorTypeTrimHorizon).until(1)
	now := w.from(streams.ShardIteratorTypeLatest)
	w.put(at("a", "after"))
	require(said(now.until(1)[0].Dynamodb.Keys, "sk") == "after", "it saw %v", now.all[0].Dynamodb.Keys)
}

func afterSequenceNumber(p *probe) {
	w := p.watched()
	for _, v := range []string{"1", "2", "3"} {
		w.put(with(at("a", "b"), "v", text(v)))
	}
	whole := w.from(streams.ShardIteratorTypeTrimHorizon)
	second := whole.until(3)[1].Dynamodb.SequenceNumber
	iterator := w.iterator(aws.String(whole.shard[*second]), streams.ShardIteratorTypeAfterSequenceNumber, second)
	var got []string
	p.eventually("there is a record behind", func() bool {
		out := must(w.reader.GetRecords(p.ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator}))
		for _, r := range out.Records {
			got = append(got, said(r.Dynamodb.NewImage, "v"))
		}
		iterator = out.NextShardIterator
		return len(got) > 0 || iterator == nil
	})
	require(slices.Equal(got, []string{"3"}), "it went on with %v", got)
}

func ttlIsTheServices(p *probe) {
	w := p.watched()
	w.expires()
	w.put(with(at("a", "b"), "expires_at", inSeconds(-time.Minute)))
	removal := w.from(streams.ShardIteratorTypeTrimHorizon).until(2)[1]
	require(removal.EventName == streams.OperationTypeRemove, "it is a %s", removal.EventName)
	require(removal.UserIdentity != nil && aws.ToString(removal.UserIdentity.Type) == "Service" &&
		aws.ToString(removal.UserIdentity.PrincipalId) == "dynamodb.amazonaws.com", "identity %+v", removal.UserIdentity)
}

func disabledStreamEnds(p *probe) {
	w := p.watched()
	w.put(at("a", "b"))
	c := w.from(streams.ShardIteratorTypeTrimHorizon)
	must(w.client.UpdateTable(p.ctx, &dynamodb.UpdateTableInput{
		TableName: &w.name, StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(false)},
	}))
	p.eventually("the shards end", func() bool {
		c.open()
		c.read()
		for _, iterator := range c.iterators {
			if iterator != nil {
				return false
			}
		}
		return true
	})
	require(len(c.all) == 1, "%d records were read", len(c.all))
}

func listedByTable(p *probe) {
	w := p.watched()
	out := must(w.reader.ListStreams(p.ctx, &dynamodbstreams.ListStreamsInput{TableName: &w.name}))
	require(len(out.Streams) == 1 && aws.ToString(out.Streams[0].StreamArn) == w.stream, "listed %v", out.Streams)
}

func unknownStream(p *probe) {
	arn := "arn:aws:dynamodb:us-east-1:000000000000:table/" + p.name("none") + "/stream/2026-01-01T00:00:00.000"
	_, err := p.streams().DescribeStream(p.ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &arn})
	refused(err, codes("ResourceNotFoundException"))
}

func limitOf1000(p *probe) {
	w := p.watched()
	shards := w.shards()
	require(len(shards) > 0, "the stream has no shard")
	_, err := w.reader.GetRecords(p.ctx, &dynamodbstreams.GetRecordsInput{
		ShardIterator: w.iterator(shards[0].ShardId, streams.ShardIteratorTypeTrimHorizon, nil), Limit: aws.Int32(1001),
	})
	refused(err, badRequest())
}

func badIterator(p *probe) {
	_, err := p.streams().GetRecords(p.ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: aws.String("no iterator")})
	refused(err, badRequest())
}

func unknownStreamsOperation(p *probe) {
	_, err := p.streams(dynamodbstreams.WithAPIOptions(unknownOperation)).ListStreams(p.ctx, &dynamodbstreams.ListStreamsInput{})
	refused(err, codes("UnknownOperationException"))
}
