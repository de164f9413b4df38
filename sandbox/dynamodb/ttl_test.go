package dynamodb

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"spate/sandbox/awsjson"
	"spate/sandbox/dynamodb/attribute"
	faults "spate/sandbox/fault"
)

// newThings returns a server with a table "things" with a stream of one shard and time to live on the attribute expires_at.
func newThings(t *testing.T, delay time.Duration) (*Server, *table) {
	t.Helper()
	s, err := New(Options{Region: "us-east-1", AccountID: "000000000000", Habits: &Habits{TTLDelay: faults.Duration(delay)}, StreamShards: 1, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.createTable(time.Now(), createTableInput{
		TableName: "things", BillingMode: "PAY_PER_REQUEST",
		KeySchema:            []keySchemaElement{{AttributeName: "pk", KeyType: "HASH"}},
		AttributeDefinitions: []attributeDefinition{{AttributeName: "pk", AttributeType: "S"}},
		StreamSpecification:  &streamSpecification{StreamEnabled: true, StreamViewType: viewNewAndOld},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.updateTimeToLive(time.Now(), updateTTLInput{TableName: "things", TimeToLiveSpecification: ttlSpecification{AttributeName: "expires_at", Enabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.table("things")
	if err != nil {
		t.Fatal(err)
	}
	return s, found
}

func putExpiring(t *testing.T, s *Server, pk string, expires attribute.Value) {
	t.Helper()
	in := putItemInput{putInput: putInput{
		conditionInput: conditionInput{TableName: "things"},
		Item:           attribute.Item{"pk": attribute.String(pk), "expires_at": expires},
	}}
	if _, err := s.putItem(time.Now(), in); err != nil {
		t.Fatal(err)
	}
}

func at(moment time.Time) attribute.Value { return attribute.NumberFromInt(moment.Unix()) }

func (t *table) holds(pk string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for rec := range t.records.ascend(span{}) {
		if rec.item["pk"] == attribute.String(pk) {
			return true
		}
	}
	return false
}

// fromHorizon asks for an iterator at the beginning of the table's only shard.
func (t *table) fromHorizon() getShardIteratorInput {
	t.stream.mu.Lock()
	defer t.stream.mu.Unlock()
	return getShardIteratorInput{StreamArn: t.stream.arn, ShardId: t.stream.shards[0].id, ShardIteratorType: "TRIM_HORIZON"}
}

// running runs the server's sweeper in a bubble while do runs.
func running(t *testing.T, delay time.Duration, do func(s *Server, things *table)) {
	synctest.Test(t, func(t *testing.T) {
		s, things := newThings(t, delay)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		do(s, things)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestAnExpiredItemGoesAfterTheDelayAndTheStreamNamesTheService(t *testing.T) {
	running(t, time.Minute, func(s *Server, things *table) {
		putExpiring(t, s, "a", at(time.Now().Add(time.Hour)))
		time.Sleep(time.Hour + 55*time.Second)
		if !things.holds("a") {
			t.Fatal("the item went before the delay")
		}
		time.Sleep(10 * time.Second)
		if things.holds("a") {
			t.Fatal("the item outlived the delay")
		}
		read, err := s.getShardIterator(time.Now(), things.fromHorizon())
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.getRecords(time.Now(), getRecordsInput{ShardIterator: read.ShardIterator})
		if err != nil || len(out.Records) != 2 || out.Records[1].EventName != "REMOVE" {
			t.Fatalf("records are %+v, %v", out.Records, err)
		}
		e := out.Records[1]
		if e.UserIdentity == nil || *e.UserIdentity != (userIdentity{PrincipalID: "dynamodb.amazonaws.com", Type: "Service"}) {
			t.Errorf("identity is %+v", e.UserIdentity)
		}
	})
}

func TestAnItemWhoseExpiryWasMovedStays(t *testing.T) {
	running(t, time.Second, func(s *Server, things *table) {
		putExpiring(t, s, "a", at(time.Now().Add(time.Minute)))
		putExpiring(t, s, "a", at(time.Now().Add(time.Hour)))
		time.Sleep(30 * time.Minute)
		if !things.holds("a") {
			t.Error("the item went at its earlier expiry")
		}
		time.Sleep(31 * time.Minute)
		if things.holds("a") {
			t.Error("the item outlived its later expiry")
		}
	})
}

func TestWhatIsNoExpiryNeverExpires(t *testing.T) {
	running(t, time.Second, func(s *Server, things *table) {
		putExpiring(t, s, "text", attribute.String("12"))
		putExpiring(t, s, "ancient", at(time.Now().Add(-6*365*24*time.Hour)))
		putExpiring(t, s, "past", at(time.Now().Add(-time.Hour)))
		time.Sleep(time.Minute)
		if !things.holds("text") || !things.holds("ancient") || things.holds("past") {
			t.Errorf("text %v, ancient %v, past %v; want true, true, false", things.holds("text"), things.holds("ancient"), things.holds("past"))
		}
	})
}

func TestItemsPutBeforeTimeToLiveWasTurnedOnExpireToo(t *testing.T) {
	running(t, time.Second, func(s *Server, things *table) {
		things.mu.Lock()
		things.setTTL("")
		things.mu.Unlock()
		putExpiring(t, s, "a", at(time.Now()))
		time.Sleep(time.Minute)
		if !things.holds("a") {
			t.Fatal("the item went while time to live was off")
		}
		things.mu.Lock()
		things.setTTL("expires_at")
		things.mu.Unlock()
		time.Sleep(time.Minute)
		if things.holds("a") {
			t.Error("the item stayed")
		}
	})
}

func TestExpiriesOfRewrittenItemsDoNotPileUp(t *testing.T) {
	s, things := newThings(t, time.Second)
	for i := range 5000 {
		putExpiring(t, s, "a", at(time.Now().Add(time.Hour+time.Duration(i)*time.Second)))
	}
	s.sweep(time.Now())
	if n := len(things.expiries); n != 1 {
		t.Errorf("%d expiries are remembered for one item", n)
	}
}

func TestRecordsOlderThanADayAreTrimmed(t *testing.T) {
	running(t, time.Second, func(s *Server, things *table) {
		putExpiring(t, s, "old", attribute.Null{})
		horizon := things.fromHorizon()
		time.Sleep(23*time.Hour + 55*time.Minute)
		held, err := s.getShardIterator(time.Now(), horizon)
		if err != nil {
			t.Fatal(err)
		}
		putExpiring(t, s, "new", attribute.Null{})
		time.Sleep(10 * time.Minute)
		_, err = s.getRecords(time.Now(), getRecordsInput{ShardIterator: held.ShardIterator})
		wantFault(t, err, "TrimmedDataAccessException")
		_, err = s.getShardIterator(time.Now(), getShardIteratorInput{
			StreamArn: horizon.StreamArn, ShardId: horizon.ShardId, ShardIteratorType: "AT_SEQUENCE_NUMBER", SequenceNumber: formatSequence(1),
		})
		wantFault(t, err, "TrimmedDataAccessException")
		_, err = s.getShardIterator(time.Now(), getShardIteratorInput{
			StreamArn: horizon.StreamArn, ShardId: horizon.ShardId, ShardIteratorType: "AFTER_SEQUENCE_NUMBER", SequenceNumber: formatSequence(1),
		})
		if err != nil {
			t.Errorf("after the last record trimmed: %v", err)
		}
		again, err := s.getShardIterator(time.Now(), horizon)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.getRecords(time.Now(), getRecordsInput{ShardIterator: again.ShardIterator})
		if err != nil || len(out.Records) != 1 || out.Records[0].DynamoDB.Keys["pk"] != attribute.String("new") {
			t.Errorf("records are %v, %v", out.Records, err)
		}
		time.Sleep(16 * time.Minute)
		_, err = s.getRecords(time.Now(), getRecordsInput{ShardIterator: again.ShardIterator})
		wantFault(t, err, "ExpiredIteratorException")
	})
}

func TestAStreamTurnedOffIsForgottenAfterADay(t *testing.T) {
	running(t, time.Second, func(s *Server, things *table) {
		arn := things.stream.arn
		if _, err := s.deleteTable(time.Now(), tableNameInput{TableName: "things"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(23 * time.Hour)
		if _, err := s.findStream(arn); err != nil {
			t.Errorf("after 23 hours: %v", err)
		}
		time.Sleep(2 * time.Hour)
		_, err := s.findStream(arn)
		wantFault(t, err, "ResourceNotFoundException")
	})
}

func TestStreamsMadeInTheSameMillisecondDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, things := newThings(t, time.Second)
		off, on := &streamSpecification{}, &streamSpecification{StreamEnabled: true, StreamViewType: viewKeys}
		first := things.stream.arn
		for _, spec := range []*streamSpecification{off, on} {
			if _, err := s.updateTable(time.Now(), updateTableInput{TableName: "things", StreamSpecification: spec}); err != nil {
				t.Fatal(err)
			}
		}
		if things.stream.arn == first || len(s.streams) != 2 {
			t.Errorf("streams are %s and %s, %d in all", first, things.stream.arn, len(s.streams))
		}
	})
}

func wantFault(t *testing.T, err error, code string) {
	t.Helper()
	f, ok := errors.AsType[*awsjson.Error](err)
	if !ok || f.Code != namespace+code {
		t.Errorf("error is %v, want %s", err, code)
	}
}

func TestATransactionsTokenIsForgottenAfterTenMinutes(t *testing.T) {
	running(t, time.Second, func(s *Server, _ *table) {
		made := 0
		do := func() (transactWriteOutput, error) { made++; return transactWriteOutput{}, nil }
		for _, wait := range []time.Duration{0, 9 * time.Minute, 2 * time.Minute} {
			time.Sleep(wait)
			if _, err := s.tokens.once("token", "request", time.Now(), do); err != nil {
				t.Fatal(err)
			}
		}
		if made != 2 {
			t.Errorf("made %d times, want 2: at first and after 11 minutes", made)
		}
	})
}
