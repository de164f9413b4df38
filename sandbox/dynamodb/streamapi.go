package dynamodb

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"spate/sandbox/dynamodb/attribute"
)

const (
	iteratorLife    = 15 * time.Minute // Amazon DynamoDB Streams API reference, "GetShardIterator"
	maxRecords      = 1000
	maxRecordsBytes = 1 << 20
)

type listStreamsInput struct {
	TableName               string
	ExclusiveStartStreamArn string
	Limit                   *int
}

type streamSummary struct {
	StreamArn   string
	StreamLabel string
	TableName   string
}

type listStreamsOutput struct {
	Streams                []streamSummary
	LastEvaluatedStreamArn string `json:",omitempty"`
}

func (s *Server) listStreams(_ time.Time, in listStreamsInput) (listStreamsOutput, error) {
	limit, err := limitFrom(in.Limit, 100)
	if err != nil {
		return listStreamsOutput{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := listStreamsOutput{Streams: []streamSummary{}}
	for _, arn := range slices.Sorted(maps.Keys(s.streams)) {
		st := s.streams[arn]
		if arn <= in.ExclusiveStartStreamArn || in.TableName != "" && in.TableName != st.table {
			continue
		}
		if len(out.Streams) == limit {
			out.LastEvaluatedStreamArn = out.Streams[limit-1].StreamArn
			break
		}
		out.Streams = append(out.Streams, streamSummary{StreamArn: arn, StreamLabel: st.label, TableName: st.table})
	}
	return out, nil
}

// findStream finds a stream by ARN.
func (s *Server) findStream(arn string) (*stream, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := s.streams[arn]
	if st == nil {
		return nil, fault("ResourceNotFoundException", "Requested resource not found: Stream: %s not found", arn)
	}
	return st, nil
}

type describeStreamInput struct {
	StreamArn             string
	ExclusiveStartShardId string
	Limit                 *int
}

type sequenceRange struct {
	StartingSequenceNumber string
	EndingSequenceNumber   string `json:",omitempty"`
}

type shardDescription struct {
	ShardId             string
	ParentShardId       string `json:",omitempty"`
	SequenceNumberRange sequenceRange
}

type streamDescription struct {
	StreamArn               string
	StreamLabel             string
	StreamStatus            string
	StreamViewType          view
	CreationRequestDateTime float64
	TableName               string
	KeySchema               []keySchemaElement
	Shards                  []shardDescription
	LastEvaluatedShardId    string `json:",omitempty"`
}

type describeStreamOutput struct{ StreamDescription streamDescription }

func (s *Server) describeStream(_ time.Time, in describeStreamInput) (describeStreamOutput, error) {
	limit, err := limitFrom(in.Limit, 100)
	if err != nil {
		return describeStreamOutput{}, err
	}
	st, err := s.findStream(in.StreamArn)
	if err != nil {
		return describeStreamOutput{}, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	d := streamDescription{
		StreamArn: st.arn, StreamLabel: st.label, StreamStatus: "ENABLED", StreamViewType: st.view,
		CreationRequestDateTime: epoch(st.created), TableName: st.table, Shards: []shardDescription{},
	}
	if !st.enabled {
		d.StreamStatus = "DISABLED"
	}
	for i, k := range st.schema.attributes() {
		d.KeySchema = append(d.KeySchema, keySchemaElement{AttributeName: k.name, KeyType: []string{"HASH", "RANGE"}[i]})
	}
	start := slices.IndexFunc(st.shards, func(sh *shard) bool { return sh.id == in.ExclusiveStartShardId }) + 1
	for _, sh := range st.shards[start:] {
		if len(d.Shards) == limit {
			d.LastEvaluatedShardId = d.Shards[limit-1].ShardId
			break
		}
		d.Shards = append(d.Shards, sh.describe())
	}
	return describeStreamOutput{d}, nil
}

func (sh *shard) describe() shardDescription {
	d := shardDescription{
		ShardId: sh.id, ParentShardId: sh.parent,
		SequenceNumberRange: sequenceRange{StartingSequenceNumber: formatSequence(sh.start)},
	}
	if sh.end != 0 {
		d.SequenceNumberRange.EndingSequenceNumber = formatSequence(sh.end)
	}
	return d
}

// iterator is a place in a shard, as it travels in a shard iterator's text.
type iterator struct {
	Stream   string    `json:"stream"`
	Shard    string    `json:"shard"`
	Position int       `json:"position"` // records of the shard before it
	Issued   time.Time `json:"issued"`
}

// text is the iterator as clients hold it.
func (it iterator) text() string {
	text, _ := json.Marshal(it) // strings, a number and a time of this era: cannot fail
	return it.Stream + "|1|" + base64.StdEncoding.EncodeToString(text)
}

func parseIterator(text string) (iterator, error) {
	var it iterator
	invalid := attribute.Invalid("Invalid ShardIterator")
	start := slices.Index([]byte(text), '|')
	if start < 0 || len(text) < start+3 {
		return it, invalid
	}
	decoded, err := base64.StdEncoding.DecodeString(text[start+3:])
	if err != nil {
		return it, invalid
	}
	if err := json.Unmarshal(decoded, &it); err != nil || it.Position < 0 {
		return it, invalid
	}
	return it, nil
}

type getShardIteratorInput struct {
	StreamArn         string
	ShardId           string
	ShardIteratorType string
	SequenceNumber    string
}

type getShardIteratorOutput struct{ ShardIterator string }

func (s *Server) getShardIterator(now time.Time, in getShardIteratorInput) (getShardIteratorOutput, error) {
	st, err := s.findStream(in.StreamArn)
	if err != nil {
		return getShardIteratorOutput{}, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	sh := st.shard(in.ShardId)
	if sh == nil {
		return getShardIteratorOutput{}, errNoShard(in.ShardId, in.StreamArn)
	}
	position, err := sh.place(in)
	if err != nil {
		return getShardIteratorOutput{}, err
	}
	it := iterator{Stream: st.arn, Shard: sh.id, Position: position, Issued: now}
	return getShardIteratorOutput{it.text()}, nil
}

func errNoShard(id, arn string) error {
	return fault("ResourceNotFoundException", "Requested resource not found: Shard: %s in Stream: %s not found", id, arn)
}

func errTrimmed() error {
	return fault("TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard.")
}

// place returns the position that a request for an iterator asks for.
func (sh *shard) place(in getShardIteratorInput) (int, error) {
	switch in.ShardIteratorType {
	case "TRIM_HORIZON":
		return sh.trimmed, nil
	case "LATEST":
		return sh.trimmed + len(sh.records), nil
	case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
	default:
		return 0, outOfRange(in.ShardIteratorType, "shardIteratorType", "Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_SEQUENCE_NUMBER, TRIM_HORIZON]")
	}
	sequence, ok := parseSequence(in.SequenceNumber)
	if !ok || sequence < sh.start || sh.end != 0 && sequence > sh.end {
		return 0, attribute.Invalid("Invalid SequenceNumber %q for shard %s", in.SequenceNumber, sh.id)
	}
	if in.ShardIteratorType == "AFTER_SEQUENCE_NUMBER" {
		sequence++
	}
	position, ok := sh.position(sequence)
	if !ok {
		return 0, errTrimmed()
	}
	return position, nil
}

type getRecordsInput struct {
	ShardIterator string
	Limit         *int
}

type userIdentity struct {
	PrincipalID string `json:"PrincipalId"`
	Type        string
}

type streamRecordDetail struct {
	ApproximateCreationDateTime float64
	Keys                        attribute.Item
	NewImage                    attribute.Item `json:",omitzero"`
	OldImage                    attribute.Item `json:",omitzero"`
	SequenceNumber              string
	SizeBytes                   int
	StreamViewType              view
}

type eventRecord struct {
	AwsRegion    string             `json:"awsRegion"`
	DynamoDB     streamRecordDetail `json:"dynamodb"`
	EventID      string             `json:"eventID"`
	EventName    string             `json:"eventName"`
	EventSource  string             `json:"eventSource"`
	EventVersion string             `json:"eventVersion"`
	UserIdentity *userIdentity      `json:"userIdentity,omitempty"`
}

type getRecordsOutput struct {
	NextShardIterator string `json:",omitempty"` // empty at the end of a closed shard
	Records           []eventRecord
}

func (s *Server) getRecords(now time.Time, in getRecordsInput) (getRecordsOutput, error) {
	limit, err := limitFrom(in.Limit, maxRecords)
	if err != nil {
		return getRecordsOutput{}, err
	}
	it, err := parseIterator(in.ShardIterator)
	if err != nil {
		return getRecordsOutput{}, err
	}
	if now.Sub(it.Issued) > iteratorLife {
		return getRecordsOutput{}, fault("ExpiredIteratorException", "Iterator expired. The iterator was created more than 15 minutes ago.")
	}
	st, err := s.findStream(it.Stream)
	if err != nil {
		return getRecordsOutput{}, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	sh := st.shard(it.Shard)
	if sh == nil {
		return getRecordsOutput{}, errNoShard(it.Shard, it.Stream)
	}
	if it.Position < sh.trimmed {
		return getRecordsOutput{}, errTrimmed()
	}
	out := getRecordsOutput{Records: []eventRecord{}}
	bytes := 0
	for _, r := range sh.records[min(it.Position-sh.trimmed, len(sh.records)):] {
		if now.Sub(r.at) < time.Duration(s.Habits().StreamLag) {
			break
		}
		if bytes += r.bytes; len(out.Records) == limit || len(out.Records) > 0 && bytes > maxRecordsBytes {
			break
		}
		out.Records = append(out.Records, s.event(st, r))
	}
	it.Position += len(out.Records)
	if sh.end == 0 || it.Position < sh.trimmed+len(sh.records) {
		it.Issued = now
		out.NextShardIterator = it.text()
	}
	return out, nil
}

// event shows a record as the stream's view allows.
func (s *Server) event(st *stream, r streamRecord) eventRecord {
	e := eventRecord{
		AwsRegion: s.options.Region, EventID: formatSequence(r.sequence), EventName: r.event,
		EventSource: "aws:dynamodb", EventVersion: "1.1",
		DynamoDB: streamRecordDetail{
			ApproximateCreationDateTime: float64(r.at.Unix()), Keys: r.keys,
			SequenceNumber: formatSequence(r.sequence), SizeBytes: r.bytes, StreamViewType: st.view,
		},
	}
	if st.showsOld() {
		e.DynamoDB.OldImage = r.old
	}
	if st.showsNew() {
		e.DynamoDB.NewImage = r.next
	}
	if r.byTTL {
		e.UserIdentity = &userIdentity{PrincipalID: identityTTL, Type: "Service"}
	}
	return e
}
