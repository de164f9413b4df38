package cache

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"spate/internal/queue"
	"spate/internal/table"
)

func TestParkedMessagesAreListedTheNewestFirstEachOnceForTwoWeeks(t *testing.T) {
	_, clients := openDynamoDB(t)
	records := NewTableRecords(table.New(clients.DynamoDB, runsTable))
	var want []Parked
	for n := range 5 {
		sent := start.Add(time.Duration(n) * time.Second)
		p := park(start.Add(time.Minute), queue.Message{ID: fmt.Sprintf("m%d", n), Body: "hello", Sent: sent, ReceiveCount: 3}, errors.New("no reason"))
		want = append([]Parked{p}, want...)
		for range 2 { // as after a crash before the message was deleted
			if err := records.Park(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := records.SaveCheckpoint(t.Context(), Checkpoint{Shard: "s"}); err != nil {
		t.Fatal(err)
	}
	for limit, n := range map[int]int{2: 2, 5: 5, 100: 5} {
		got, err := records.Parked(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[:n], got); diff != "" {
			t.Error(diff)
		}
	}
	name := runsTable
	out, err := clients.DynamoDB.Scan(t.Context(), &dynamodb.ScanInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	expires := fmt.Sprint(start.Add(time.Minute).Add(14 * 24 * time.Hour).Unix())
	for _, item := range out.Items {
		if _, parked := item["body"]; !parked {
			continue
		}
		if got, ok := item["expires_at"].(*types.AttributeValueMemberN); !ok || got.Value != expires {
			t.Errorf("expires at %v, want %s", item["expires_at"], expires)
		}
	}
}

func TestALongMessageIsParkedInPart(t *testing.T) {
	body := "x" + strings.Repeat("ö", maxParkedBody)
	p := park(start, queue.Message{Body: body}, errors.New("no reason"))
	if len(p.Body) > maxParkedBody || len(p.Body) < maxParkedBody-utf8.UTFMax || !utf8.ValidString(p.Body) || p.Bytes != len(body) || !p.Sent.Equal(start) {
		t.Errorf("%d of %d bytes were kept, said to be %d", len(p.Body), len(body), p.Bytes)
	}
}
