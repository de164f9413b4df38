package dynamodb_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	client "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"spate/sandbox/dynamodb"
)

func output(i int64) item {
	return item{
		"pk": str(fmt.Sprintf("%064x", i*2654435761)), "created_at": num("1763715600"), "bytes": num(strconv.FormatInt(i, 10)),
		"run_id": str("run-20261121-000001"), "expires_at": num("1766307600"),
	}
}

// BenchmarkPutItem puts small items through the SDK.
func BenchmarkPutItem(b *testing.B) {
	t := newBench(b, dynamodb.Options{})
	t.createTable(b, "", types.StreamViewTypeNewAndOldImages)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, err := t.tables.PutItem(b.Context(), &client.PutItemInput{TableName: aws.String("things"), Item: output(n.Add(1))})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
}

// BenchmarkPutItemOverHTTP puts small items through plain HTTP: the server's own share of BenchmarkPutItem.
func BenchmarkPutItemOverHTTP(b *testing.B) {
	t := newBench(b, dynamodb.Options{})
	t.createTable(b, "", types.StreamViewTypeNewAndOldImages)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			body := fmt.Sprintf(`{"TableName":"things","Item":{"pk":{"S":"%064x"},"bytes":{"N":"%d"},"expires_at":{"N":"1766307600"}}}`, i*2654435761, i)
			request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, t.url, strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			request.Header.Set("X-Amz-Target", dynamodb.TablePrefix+"PutItem")
			response, err := t.http.Do(request)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				b.Error(response.Status)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
}

// BenchmarkBatchWriteItem puts 25 small items a call.
func BenchmarkBatchWriteItem(b *testing.B) {
	t := newBench(b, dynamodb.Options{})
	t.createTable(b, "", types.StreamViewTypeNewAndOldImages)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			requests := make([]types.WriteRequest, 25)
			for i := range requests {
				requests[i].PutRequest = &types.PutRequest{Item: output(n.Add(1))}
			}
			if _, err := t.tables.BatchWriteItem(b.Context(), &client.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"things": requests}}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(25*float64(b.N)/b.Elapsed().Seconds(), "items/s")
}

// BenchmarkQuery reads pages of 100 of a partition of 10,000 items.
func BenchmarkQuery(b *testing.B) {
	t := newBench(b, dynamodb.Options{})
	t.createTable(b, types.ScalarAttributeTypeN, "")
	for i := range 10_000 {
		t.put(b, item{"pk": str("run"), "sk": num(strconv.Itoa(i)), "state": str("released")})
	}
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			out, err := t.tables.Query(b.Context(), &client.QueryInput{
				TableName: aws.String("things"), KeyConditionExpression: aws.String("pk = :pk AND sk >= :from"), Limit: aws.Int32(100),
				ExpressionAttributeValues: item{":pk": str("run"), ":from": num(strconv.FormatInt(n.Add(97)%9_900, 10))},
			})
			if err != nil || len(out.Items) != 100 {
				b.Errorf("%d items, %v", len(out.Items), err)
				return
			}
		}
	})
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "items/s")
}
