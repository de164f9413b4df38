package dynamodb_test

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"

	"spate/sandbox/dynamodb"
)

// queryAll follows pages to the end and returns the sk numbers in order of arrival.
func (b *bench) queryAll(t testing.TB, in *client.QueryInput) []string {
	t.Helper()
	found := []string{}
	for {
		out, err := b.tables.Query(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			n, ok := it["sk"].(*types.AttributeValueMemberN)
			if !ok {
				t.Fatalf("item without number sk: %v", it)
			}
			found = append(found, n.Value)
		}
		if out.LastEvaluatedKey == nil {
			return found
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func TestQueryAgreesWithASortedListOfNumbers(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, types.ScalarAttributeTypeN, "")
	partition := 0
	rapid.Check(t, func(r *rapid.T) {
		partition++
		pk := str(fmt.Sprint("p", partition))
		decimal := rapid.Custom(func(r *rapid.T) string {
			return fmt.Sprintf("%se%d", rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?`).Draw(r, "digits"), rapid.IntRange(-4, 4).Draw(r, "exponent"))
		})
		model := make(map[string]*big.Rat)
		for _, text := range rapid.SliceOfN(decimal, 0, 25).Draw(r, "items") {
			v, _ := new(big.Rat).SetString(text)
			model[v.RatString()] = v
			b.put(t, item{"pk": pk, "sk": num(text)})
		}
		b.put(t, item{"pk": str(fmt.Sprint("p", partition, "/")), "sk": num("1")}) // a neighbour that must not be seen
		low, high := decimal.Draw(r, "low"), decimal.Draw(r, "high")
		lowest, _ := new(big.Rat).SetString(low)
		highest, _ := new(big.Rat).SetString(high)
		if lowest.Cmp(highest) > 0 {
			low, high, lowest, highest = high, low, highest, lowest
		}
		type rangeCase struct {
			text  string
			holds func(v *big.Rat) bool
		}
		test := rapid.SampledFrom([]rangeCase{
			{"", func(*big.Rat) bool { return true }},
			{" AND sk = :low", func(v *big.Rat) bool { return v.Cmp(lowest) == 0 }},
			{" AND sk < :low", func(v *big.Rat) bool { return v.Cmp(lowest) < 0 }},
			{" AND sk <= :low", func(v *big.Rat) bool { return v.Cmp(lowest) <= 0 }},
			{" AND sk > :low", func(v *big.Rat) bool { return v.Cmp(lowest) > 0 }},
			{" AND :low <= sk", func(v *big.Rat) bool { return v.Cmp(lowest) >= 0 }},
			{" AND sk BETWEEN :low AND :high", func(v *big.Rat) bool { return v.Cmp(lowest) >= 0 && v.Cmp(highest) <= 0 }},
		}).Draw(r, "test")
		forward := rapid.Bool().Draw(r, "forward")

		want := slices.DeleteFunc(slices.Collect(maps.Values(model)), func(v *big.Rat) bool { return !test.holds(v) })
		slices.SortFunc(want, func(a, b *big.Rat) int { return a.Cmp(b) })
		if !forward {
			slices.Reverse(want)
		}
		values := item{":pk": pk}
		if strings.Contains(test.text, ":low") {
			values[":low"] = num(low)
		}
		if strings.Contains(test.text, ":high") {
			values[":high"] = num(high)
		}
		in := &client.QueryInput{
			TableName: aws.String("things"), KeyConditionExpression: aws.String("pk = :pk" + test.text),
			ExpressionAttributeValues: values, ScanIndexForward: aws.Bool(forward),
		}
		if limit := rapid.Int32Range(0, 7).Draw(r, "limit"); limit > 0 {
			in.Limit = aws.Int32(limit)
		}
		got := b.queryAll(t, in)
		same := slices.EqualFunc(got, want, func(text string, v *big.Rat) bool {
			parsed, ok := new(big.Rat).SetString(text)
			return ok && parsed.Cmp(v) == 0
		})
		if !same {
			r.Fatalf("query%s with low %s, high %s, forward %v: got %v, want %v", test.text, low, high, forward, got, want)
		}
	})
}

func TestQueryByPrefixFindsOnlyThePrefix(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, types.ScalarAttributeTypeS, "")
	for _, sk := range []string{"job", "job#1", "job#2", "job$", "jo", "jp"} {
		b.put(t, item{"pk": str("run"), "sk": str(sk)})
	}
	out, err := b.tables.Query(t.Context(), &client.QueryInput{
		TableName: aws.String("things"), KeyConditionExpression: aws.String("pk = :pk AND begins_with(sk, :prefix)"),
		ExpressionAttributeValues: item{":pk": str("run"), ":prefix": str("job#")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Items) != 2 {
		t.Fatalf("found %v", out.Items)
	}
	sameItem(t, out.Items[0], item{"pk": str("run"), "sk": str("job#1")})
	sameItem(t, out.Items[1], item{"pk": str("run"), "sk": str("job#2")})
}

func TestFilterCountsWhatItScanned(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, types.ScalarAttributeTypeN, "")
	for i := range 10 {
		b.put(t, item{"pk": str("p"), "sk": num(fmt.Sprint(i)), "even": &types.AttributeValueMemberBOOL{Value: i%2 == 0}})
	}
	out, err := b.tables.Query(t.Context(), &client.QueryInput{
		TableName: aws.String("things"), KeyConditionExpression: aws.String("pk = :pk"), FilterExpression: aws.String("even = :yes"),
		ExpressionAttributeValues: item{":pk": str("p"), ":yes": &types.AttributeValueMemberBOOL{Value: true}},
		Limit:                     aws.Int32(5), Select: types.SelectCount,
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.Count != 3 || out.ScannedCount != 5 || out.Items != nil {
		t.Errorf("count %d of %d scanned, items %v; want 3 of 5 and none", out.Count, out.ScannedCount, out.Items)
	}
	sameItem(t, out.LastEvaluatedKey, item{"pk": str("p"), "sk": num("4")})
}

func TestAPageEndsAtOneMegabyte(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, types.ScalarAttributeTypeN, "")
	for i := range 12 {
		b.put(t, item{"pk": str("p"), "sk": num(fmt.Sprint(i)), "x": str(strings.Repeat("x", 100_000))})
	}
	out, err := b.tables.Query(t.Context(), &client.QueryInput{
		TableName: aws.String("things"), KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: item{":pk": str("p")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Items) != 11 || out.LastEvaluatedKey == nil {
		t.Fatalf("page of %d items, last key %v; want 11 and one", len(out.Items), out.LastEvaluatedKey)
	}
}

func TestImproperQueriesAreRefused(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, types.ScalarAttributeTypeN, "")
	for name, row := range map[string]struct {
		in   client.QueryInput
		text string
	}{
		"no hash key":        {client.QueryInput{KeyConditionExpression: aws.String("sk = :n")}, "Query condition missed key schema element: pk"},
		"range of hash keys": {client.QueryInput{KeyConditionExpression: aws.String("pk > :s")}, "Query key condition not supported"},
		"wrong type":         {client.QueryInput{KeyConditionExpression: aws.String("pk = :n")}, "Condition parameter type does not match schema type"},
		"OR":                 {client.QueryInput{KeyConditionExpression: aws.String("pk = :s OR pk = :s")}, "Invalid operator used in KeyConditionExpression: OR"},
		"filter on a key":    {client.QueryInput{KeyConditionExpression: aws.String("pk = :s"), FilterExpression: aws.String("attribute_exists(sk)")}, "Filter Expression can only contain non-primary key attributes: Primary key attribute: sk"},
		"index":              {client.QueryInput{KeyConditionExpression: aws.String("pk = :s"), IndexName: aws.String("by-date")}, "no secondary indexes"},
		"foreign start":      {client.QueryInput{KeyConditionExpression: aws.String("pk = :s"), ExclusiveStartKey: item{"pk": str("other"), "sk": num("1")}}, "The provided starting key is outside query boundaries"},
	} {
		t.Run(name, func(t *testing.T) {
			in := row.in
			in.TableName = aws.String("things")
			in.ExpressionAttributeValues = item{":s": str("a")}
			if strings.Contains(*in.KeyConditionExpression, ":n") {
				in.ExpressionAttributeValues = item{":n": num("1")}
			}
			_, err := b.tables.Query(t.Context(), &in)
			wantCode(t, err, "ValidationException", row.text)
		})
	}
}

func TestScanSegmentsPartitionTheTable(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	const total = 700 // more than one chunk of records
	for i := range total {
		b.put(t, item{"pk": str(fmt.Sprint("item-", i))})
	}
	seen := make(map[string]int)
	for segment := range int32(3) {
		in := &client.ScanInput{TableName: aws.String("things"), Segment: aws.Int32(segment), TotalSegments: aws.Int32(3), Limit: aws.Int32(50)}
		before := len(seen)
		for {
			out, err := b.tables.Scan(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range out.Items {
				pk, ok := it["pk"].(*types.AttributeValueMemberS)
				if !ok {
					t.Fatalf("item without pk: %v", it)
				}
				seen[pk.Value]++
			}
			if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
				break
			}
		}
		if share := len(seen) - before; share < total/6 {
			t.Errorf("segment %d has only %d items", segment, share)
		}
	}
	if len(seen) != total {
		t.Errorf("segments hold %d items, want %d", len(seen), total)
	}
	for pk, times := range seen {
		if times != 1 {
			t.Errorf("%s was seen %d times", pk, times)
		}
	}
}

func TestAScanGoesOnAfterADeletedStartKey(t *testing.T) {
	b := newBench(t, dynamodb.Options{})
	b.createTable(t, "", "")
	for i := range 10 {
		b.put(t, item{"pk": str(fmt.Sprint(i))})
	}
	first, err := b.tables.Scan(t.Context(), &client.ScanInput{TableName: aws.String("things"), Limit: aws.Int32(4)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.tables.DeleteItem(t.Context(), &client.DeleteItemInput{TableName: aws.String("things"), Key: first.LastEvaluatedKey}); err != nil {
		t.Fatal(err)
	}
	rest, err := b.tables.Scan(t.Context(), &client.ScanInput{TableName: aws.String("things"), ExclusiveStartKey: first.LastEvaluatedKey})
	if err != nil {
		t.Fatal(err)
	}
	if len(rest.Items) != 6 {
		t.Errorf("second page has %d items, want 6", len(rest.Items))
	}
}
