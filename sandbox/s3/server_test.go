package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"spate/sandbox/s3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const queueARN = "arn:aws:sqs:us-east-1:000000000000:events"

// inbox is a queue that keeps what is pushed; it refuses any other ARN.
type inbox struct {
	mu     sync.Mutex
	bodies []string
}

func (q *inbox) HasQueue(arn string) bool { return arn == queueARN }

func (q *inbox) Push(arn, body string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if arn != queueARN {
		return errors.New("no such queue")
	}
	q.bodies = append(q.bodies, body)
	return nil
}

func (q *inbox) take() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	bodies := q.bodies
	q.bodies = nil
	return bodies
}

// client is the real SDK's client against a fresh server with one bucket.
type client struct {
	*awss3.Client
	inbox *inbox
}

var bucket = aws.String("data")

func newClient(t testing.TB) client {
	t.Helper()
	q := &inbox{}
	listener := httptest.NewServer(s3.New(s3.Options{Region: "us-east-1", Queues: q, Log: zerolog.Nop()}))
	t.Cleanup(listener.Close)
	c := newClientTo(t, listener)
	c.inbox = q
	return c
}

func newClientTo(t testing.TB, listener *httptest.Server) client {
	t.Helper()
	c := client{Client: awss3.New(awss3.Options{
		BaseEndpoint: aws.String(listener.URL), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		HTTPClient:                 listener.Client(),
		Credentials:                credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	})}
	if _, err := c.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c client) put(t testing.TB, key, body string) string {
	t.Helper()
	out, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return *out.ETag
}

func (c client) get(t testing.TB, in awss3.GetObjectInput) (string, *awss3.GetObjectOutput) {
	t.Helper()
	in.Bucket = bucket
	out, err := c.GetObject(t.Context(), &in)
	if err != nil {
		t.Fatalf("get %s: %v", *in.Key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatalf("read %s: %v", *in.Key, err)
	}
	return string(body), out
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var fault smithy.APIError
	if !errors.As(err, &fault) || fault.ErrorCode() != code {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

func TestAnObjectComesBackAsItWasPut(t *testing.T) {
	c := newClient(t)
	_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: bucket, Key: aws.String("a/b c+é.txt"), Body: strings.NewReader("hello"),
		ContentType: aws.String("text/plain"), CacheControl: aws.String("no-cache"), Metadata: map[string]string{"origin": "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	body, out := c.get(t, awss3.GetObjectInput{Key: aws.String("a/b c+é.txt")})
	if body != "hello" || *out.ContentType != "text/plain" || out.Metadata["origin"] != "test" || out.ContentEncoding != nil || aws.ToString(out.CacheControl) != "no-cache" {
		t.Errorf("got %q with type %v, metadata %v, encoding %v", body, *out.ContentType, out.Metadata, out.ContentEncoding)
	}
	if want := `"5d41402abc4b2a76b9719d911017c592"`; *out.ETag != want {
		t.Errorf("ETag %s, want %s", *out.ETag, want)
	}
	if aws.ToString(out.ChecksumCRC32) != "NhCmhg==" {
		t.Errorf("checksum %v", aws.ToString(out.ChecksumCRC32))
	}
}

func TestAnUploadStreamedBySDKIsDecoded(t *testing.T) {
	// Over TLS the SDK streams a body in chunks, with its checksum in a trailer.
	listener := httptest.NewTLSServer(s3.New(s3.Options{Region: "us-east-1", Log: zerolog.Nop()}))
	t.Cleanup(listener.Close)
	c := newClientTo(t, listener)
	content := bytes.Repeat([]byte("0123456789"), 30_000)
	_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: bucket, Key: aws.String("streamed"), Body: io.LimitReader(bytes.NewReader(content), int64(len(content))),
		ContentLength: aws.Int64(int64(len(content))), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	})
	if err != nil {
		t.Fatal(err)
	}
	body, out := c.get(t, awss3.GetObjectInput{Key: aws.String("streamed")})
	if body != string(content) || out.ChecksumCRC32C == nil || out.ContentEncoding != nil {
		t.Errorf("got %d bytes, checksum %v, encoding %v", len(body), out.ChecksumCRC32C, out.ContentEncoding)
	}
}

func TestChunkedUploadsAreCheckedAgainstTheirTrailer(t *testing.T) {
	server := s3.New(s3.Options{Region: "us-east-1", Log: zerolog.Nop()})
	send := func(method, path, body string, headers map[string]string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(method, path, strings.NewReader(body))
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		response := httptest.NewRecorder()
		server.ServeHTTP(response, request)
		return response
	}
	send(http.MethodPut, "/data", "", nil)
	chunked := func(crc string) *httptest.ResponseRecorder {
		return send(http.MethodPut, "/data/k", "5;chunk-signature=ab\r\nhello\r\n0\r\nx-amz-checksum-crc32:"+crc+"\r\n\r\n", map[string]string{
			"X-Amz-Content-Sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length": "5",
			"Content-Encoding": "aws-chunked", "X-Amz-Trailer": "x-amz-checksum-crc32",
		})
	}
	if bad := chunked("AAAAAA=="); bad.Code != http.StatusBadRequest || !strings.Contains(bad.Body.String(), "<Code>BadDigest</Code>") {
		t.Errorf("wrong checksum: %d %s", bad.Code, bad.Body)
	}
	if good := chunked("NhCmhg=="); good.Code != http.StatusOK {
		t.Fatalf("right checksum: %d %s", good.Code, good.Body)
	}
	if got := send(http.MethodGet, "/data/k", "", nil); got.Body.String() != "hello" || got.Header().Get("Content-Encoding") != "" {
		t.Errorf("got %q, encoding %q", got.Body, got.Header().Get("Content-Encoding"))
	}
}

func TestAPutIfAbsentIsRefusedWhereThereIsAnObject(t *testing.T) {
	c := newClient(t)
	put := func() error {
		_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*"),
		})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, put(), "PreconditionFailed")
}

func TestOfManyPutsIfAbsentExactlyOneWins(t *testing.T) {
	c := newClient(t)
	const writers = 20
	wins := make(chan string, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			body := fmt.Sprint("writer ", i)
			if _, err := c.PutObject(t.Context(), &awss3.PutObjectInput{
				Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader(body), IfNoneMatch: aws.String("*"),
			}); err == nil {
				wins <- body
			}
		})
	}
	group.Wait()
	close(wins)
	var winners []string
	for body := range wins {
		winners = append(winners, body)
	}
	if body, _ := c.get(t, awss3.GetObjectInput{Key: aws.String("k")}); len(winners) != 1 || body != winners[0] {
		t.Errorf("winners %v, object %q", winners, body)
	}
}

func TestIfMatchGuardsPutGetAndDelete(t *testing.T) {
	c := newClient(t)
	etag := c.put(t, "k", "one")
	key, stale, missing := aws.String("k"), aws.String(`"00000000000000000000000000000000"`), aws.String("missing")
	put := func(key, match *string) error {
		_, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: key, IfMatch: match, Body: strings.NewReader("two")})
		return err
	}
	read := func(match *string) error {
		out, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: key, IfMatch: match})
		if err == nil {
			_ = out.Body.Close()
		}
		return err
	}
	remove := func(key, match *string) error {
		_, err := c.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: bucket, Key: key, IfMatch: match})
		return err
	}
	wantCode(t, put(key, stale), "PreconditionFailed")
	wantCode(t, put(missing, stale), "NoSuchKey")
	wantCode(t, read(stale), "PreconditionFailed")
	wantCode(t, remove(key, stale), "PreconditionFailed")
	wantCode(t, remove(missing, stale), "NoSuchKey")
	for name, err := range map[string]error{"get": read(&etag), "put": put(key, &etag)} {
		if err != nil {
			t.Errorf("%s with the right ETag: %v", name, err)
		}
	}
	wantCode(t, remove(key, &etag), "PreconditionFailed") // the put has changed it
	if body, _ := c.get(t, awss3.GetObjectInput{Key: key}); body != "two" {
		t.Errorf("object %q", body)
	}
}

func TestAbsentThingsHaveTheirOwnErrors(t *testing.T) {
	c := newClient(t)
	_, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("missing")})
	if _, ok := errors.AsType[*types.NoSuchKey](err); !ok {
		t.Errorf("get: %v is not NoSuchKey", err)
	}
	_, err = c.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: bucket, Key: aws.String("missing")})
	if _, ok := errors.AsType[*types.NotFound](err); !ok {
		t.Errorf("head: %v is not NotFound", err)
	}
	_, err = c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("nowhere"), Key: aws.String("k")})
	wantCode(t, err, "NoSuchBucket")
	if _, err := c.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: bucket, Key: aws.String("missing")}); err != nil {
		t.Errorf("delete of nothing: %v", err)
	}
	_, err = c.GetBucketPolicy(t.Context(), &awss3.GetBucketPolicyInput{Bucket: bucket})
	wantCode(t, err, "NotImplemented")
}

func TestRangesAreServed(t *testing.T) {
	c := newClient(t)
	c.put(t, "k", "0123456789")
	for asked, want := range map[string]string{"bytes=2-4": "234", "bytes=7-": "789", "bytes=-3": "789", "bytes=8-100": "89"} {
		if body, _ := c.get(t, awss3.GetObjectInput{Key: aws.String("k"), Range: &asked}); body != want {
			t.Errorf("%s gave %q", asked, body)
		}
	}
	_, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("k"), Range: aws.String("bytes=10-")})
	wantCode(t, err, "InvalidRange")
}

func TestListingsComeInPagesAndCommonPrefixes(t *testing.T) {
	c := newClient(t)
	for _, key := range []string{"b/1", "a/2", "a/1", "c", "a/sub/3", "d/1", "d/2"} {
		c.put(t, key, key)
	}
	list := func(in awss3.ListObjectsV2Input) []string {
		in.Bucket = bucket
		var all []string
		pages := awss3.NewListObjectsV2Paginator(c.Client, &in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				if *o.Size != int64(len(*o.Key)) || len(*o.ETag) != 34 {
					t.Errorf("%s has size %d and ETag %s", *o.Key, *o.Size, *o.ETag)
				}
				all = append(all, *o.Key)
			}
			for _, p := range page.CommonPrefixes {
				all = append(all, *p.Prefix)
			}
		}
		return all
	}
	for name, tc := range map[string]struct {
		in   awss3.ListObjectsV2Input
		want []string
	}{
		"all, by twos":         {awss3.ListObjectsV2Input{MaxKeys: aws.Int32(2)}, []string{"a/1", "a/2", "a/sub/3", "b/1", "c", "d/1", "d/2"}},
		"prefix":               {awss3.ListObjectsV2Input{Prefix: aws.String("a/")}, []string{"a/1", "a/2", "a/sub/3"}},
		"delimiter, by ones":   {awss3.ListObjectsV2Input{Delimiter: aws.String("/"), MaxKeys: aws.Int32(1)}, []string{"a/", "b/", "c", "d/"}},
		"prefix and delimiter": {awss3.ListObjectsV2Input{Prefix: aws.String("a/"), Delimiter: aws.String("/")}, []string{"a/1", "a/2", "a/sub/"}},
		"start after":          {awss3.ListObjectsV2Input{StartAfter: aws.String("b/1")}, []string{"c", "d/1", "d/2"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := list(tc.in); !slices.Equal(got, tc.want) {
				t.Errorf("listed %q, want %q", got, tc.want)
			}
		})
	}
}

func TestACopyOntoItselfMustReplaceTheMetadata(t *testing.T) {
	c := newClient(t)
	etag := c.put(t, "k", "body")
	onto := awss3.CopyObjectInput{Bucket: bucket, Key: aws.String("k"), CopySource: aws.String("data/k")}
	_, err := c.CopyObject(t.Context(), &onto)
	wantCode(t, err, "InvalidRequest")
	onto.MetadataDirective, onto.Metadata = types.MetadataDirectiveReplace, map[string]string{"renewed": "yes"}
	onto.CopySourceIfMatch = aws.String(`"0"`)
	_, err = c.CopyObject(t.Context(), &onto)
	wantCode(t, err, "PreconditionFailed")
	onto.CopySourceIfMatch = &etag
	if _, err = c.CopyObject(t.Context(), &onto); err != nil {
		t.Fatal(err)
	}
	body, out := c.get(t, awss3.GetObjectInput{Key: aws.String("k")})
	if body != "body" || *out.ETag != etag || out.Metadata["renewed"] != "yes" {
		t.Errorf("got %q %s %v", body, *out.ETag, out.Metadata)
	}
}

func TestACopyOntoItselfRenewsLastModified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := s3.New(s3.Options{Region: "us-east-1", Log: zerolog.Nop()})
		send := func(method, path string, headers map[string]string) http.Header {
			t.Helper()
			request := httptest.NewRequest(method, path, http.NoBody)
			request.Header.Set("Content-Length", "0")
			for name, value := range headers {
				request.Header.Set(name, value)
			}
			response := httptest.NewRecorder()
			server.ServeHTTP(response, request)
			if response.Code != http.StatusOK {
				t.Fatalf("%s %s: %d %s", method, path, response.Code, response.Body)
			}
			return response.Header()
		}
		send(http.MethodPut, "/data", nil)
		send(http.MethodPut, "/data/k", nil)
		time.Sleep(time.Hour)
		send(http.MethodPut, "/data/k", map[string]string{"X-Amz-Copy-Source": "/data/k", "X-Amz-Metadata-Directive": "REPLACE"})
		if got, want := send(http.MethodHead, "/data/k", nil).Get("Last-Modified"), time.Now().UTC().Format(http.TimeFormat); got != want {
			t.Errorf("last modified %s, want %s", got, want)
		}
	})
}

func TestAMultipartUploadBecomesOneObject(t *testing.T) {
	c := newClient(t)
	key := aws.String("big")
	if _, err := c.PutBucketNotificationConfiguration(t.Context(), &awss3.PutBucketNotificationConfigurationInput{
		Bucket: bucket, NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{{
			QueueArn: aws.String(queueARN), Events: []types.Event{"s3:ObjectCreated:CompleteMultipartUpload"},
		}}},
	}); err != nil {
		t.Fatal(err)
	}
	started, err := c.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	for i, body := range []string{strings.Repeat("a", 5<<20), "end"} {
		number := aws.Int32(int32(i + 1))
		part, err := c.UploadPart(t.Context(), &awss3.UploadPartInput{
			Bucket: bucket, Key: key, UploadId: started.UploadId, PartNumber: number, Body: strings.NewReader(body),
		})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: part.ETag})
	}
	if _, err := c.CompleteMultipartUpload(t.Context(), &awss3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: started.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}); err != nil {
		t.Fatal(err)
	}
	if body, _ := c.get(t, awss3.GetObjectInput{Key: key}); len(body) != 5<<20+3 || !strings.HasSuffix(body, "aend") {
		t.Errorf("got %d bytes", len(body))
	}
	if bodies := c.inbox.take(); len(bodies) != 2 || !strings.Contains(bodies[1], `"eventName":"ObjectCreated:CompleteMultipartUpload"`) {
		t.Errorf("notified %q after the test event", bodies)
	}
}

func TestManyKeysAreDeletedInOneCall(t *testing.T) {
	c := newClient(t)
	c.put(t, "a", "1")
	c.put(t, "b", "2")
	out, err := c.DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("a")}, {Key: aws.String("b")}, {Key: aws.String("missing")}},
	}})
	if err != nil || len(out.Deleted) != 3 {
		t.Fatalf("got %+v, %v", out, err)
	}
	if _, err := c.DeleteBucket(t.Context(), &awss3.DeleteBucketInput{Bucket: bucket}); err != nil {
		t.Errorf("the bucket is not empty: %v", err)
	}
}

func TestChangesAreNotified(t *testing.T) {
	c := newClient(t)
	configure := func(arn string) error {
		_, err := c.PutBucketNotificationConfiguration(t.Context(), &awss3.PutBucketNotificationConfigurationInput{
			Bucket: bucket,
			NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{{
				QueueArn: &arn, Events: []types.Event{"s3:ObjectCreated:*", "s3:ObjectRemoved:*"},
				Filter: &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: []types.FilterRule{
					{Name: types.FilterRuleNamePrefix, Value: aws.String("out/")},
					{Name: types.FilterRuleNameSuffix, Value: aws.String(".json")},
				}}},
			}}},
		})
		return err
	}
	wantCode(t, configure(queueARN+"-missing"), "InvalidArgument")
	if err := configure(queueARN); err != nil {
		t.Fatal(err)
	}
	if test := c.inbox.take(); len(test) != 1 || !strings.Contains(test[0], `"Event":"s3:TestEvent"`) {
		t.Fatalf("test event %v", test)
	}
	etag := c.put(t, "out/a b.json", "{}")
	c.put(t, "elsewhere/a.json", "{}")
	c.put(t, "out/a.csv", "{}")
	if _, err := c.DeleteObject(t.Context(), &awss3.DeleteObjectInput{Bucket: bucket, Key: aws.String("out/a b.json")}); err != nil {
		t.Fatal(err)
	}
	bodies := c.inbox.take()
	if len(bodies) != 2 {
		t.Fatalf("notified %q", bodies)
	}
	type message struct {
		Records []struct {
			EventVersion, EventSource, EventTime, EventName string
			S3                                              struct {
				Bucket struct{ Name string }
				Object struct {
					Key, ETag, Sequencer string
					Size                 int
				}
			}
		}
	}
	var created, removed message
	for text, into := range map[string]*message{bodies[0]: &created, bodies[1]: &removed} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	r := created.Records[0]
	if r.EventName != "ObjectCreated:Put" || r.EventVersion != "2.1" || r.EventSource != "aws:s3" || r.S3.Bucket.Name != "data" ||
		r.S3.Object.Key != "out/a+b.json" || r.S3.Object.Size != 2 || `"`+r.S3.Object.ETag+`"` != etag {
		t.Errorf("created: %+v", r)
	}
	if d := removed.Records[0]; d.EventName != "ObjectRemoved:Delete" || d.S3.Object.Sequencer <= r.S3.Object.Sequencer {
		t.Errorf("removed: %+v after %s", d, r.S3.Object.Sequencer)
	}
}

func BenchmarkGetObject500KB(b *testing.B) {
	c := newClient(b)
	c.put(b, "k", strings.Repeat("x", 500<<10))
	b.SetBytes(500 << 10)
	for b.Loop() {
		out, err := c.GetObject(b.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: aws.String("k")})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, out.Body); err != nil {
			b.Fatal(err)
		}
		_ = out.Body.Close()
	}
}

func BenchmarkPutObject1KB(b *testing.B) {
	c := newClient(b)
	body := strings.Repeat("x", 1000)
	i := 0
	for b.Loop() {
		i++
		c.put(b, fmt.Sprint("k/", i), body)
	}
}

func BenchmarkListPageAmong100kKeys(b *testing.B) {
	server := s3.New(s3.Options{Region: "us-east-1", Log: zerolog.Nop()})
	send := func(method, path string) int {
		request := httptest.NewRequestWithContext(context.Background(), method, path, http.NoBody)
		response := httptest.NewRecorder()
		server.ServeHTTP(response, request)
		return response.Code
	}
	send(http.MethodPut, "/data")
	for i := range 100_000 {
		request := httptest.NewRequest(http.MethodPut, fmt.Sprintf("/data/outputs/%02x/%06d", i%256, i), http.NoBody)
		request.Header.Set("Content-Length", "0")
		server.ServeHTTP(httptest.NewRecorder(), request)
	}
	for b.Loop() {
		if code := send(http.MethodGet, "/data?list-type=2&prefix=outputs/7f/"); code != http.StatusOK {
			b.Fatal(code)
		}
	}
}
