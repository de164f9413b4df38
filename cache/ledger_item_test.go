package cache

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"
)

func TestAnItemIsReadAsItIsWritten(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		second := rapid.Int64Range(0, 1<<40)
		want := Output{
			Key: testKey(rapid.IntRange(0, 1000).Draw(r, "key")), CreatedAt: time.Unix(second.Draw(r, "created"), 0),
			ExpiresAt: time.Unix(second.Draw(r, "expires"), 0), Bytes: rapid.Int64().Draw(r, "bytes"), Run: rapid.String().Draw(r, "run"),
		}
		item, err := attributevalue.MarshalMap(outputItem{want.Key.String(), want.CreatedAt.Unix(), want.ExpiresAt.Unix(), want.Bytes, want.Run})
		if err != nil {
			r.Fatal(err)
		}
		if got, err := parseOutput(item); err != nil || got != want {
			r.Fatalf("%+v is read as %+v, error %v", want, got, err)
		}
	})
}

func TestAnItemOfOtherTypesIsRefused(t *testing.T) {
	text, number := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }, func(s string) types.AttributeValue {
		return &types.AttributeValueMemberN{Value: s}
	}
	key := text(testKey(1).String())
	for want, item := range map[string]map[string]types.AttributeValue{
		"":                                  {"key": key},
		"parse key":                         {"created_at": number("1")},
		"attribute key is no text":          {"key": number("1")},
		"attribute expires_at is no":        {"key": key, "expires_at": text("1")},
		`attribute bytes: strconv.ParseInt`: {"key": key, "bytes": number("1e99")},
		"attribute run_id is no text":       {"key": key, "run_id": &types.AttributeValueMemberBOOL{Value: true}},
	} {
		if _, err := parseOutput(item); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}
