package objects_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/sandbox/s3"
)

func TestRenewingKeepsAnObjectAndMakesItYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, transport := open(t)
		client := awsclient.FromConfig(aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String("http://s3.invalid"), HTTPClient: transport,
			Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		}).S3
		const key = "outputs/é b+c/a1-x/deep/file%20 1.csv"
		if _, err := client.PutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader("bytes"), ContentType: aws.String("text/csv"),
			ContentEncoding: aws.String("br"), CacheControl: aws.String("no-store"), Metadata: map[string]string{"job": "deal-1"},
			ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		}); err != nil {
			t.Fatal(err)
		}
		head := func() *awss3.HeadObjectOutput {
			out, err := client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		before := head()
		time.Sleep(20 * 24 * time.Hour)
		if err := s.Renew(t.Context(), key, 5, objects.CopyLimits{}); err != nil {
			t.Fatal(err)
		}
		after := head()
		if got := after.LastModified.Sub(*before.LastModified); got != 20*24*time.Hour {
			t.Errorf("it is younger by %s", got)
		}
		if aws.ToString(after.ETag) != aws.ToString(before.ETag) || aws.ToString(after.ChecksumSHA256) == "" || aws.ToString(after.ChecksumSHA256) != aws.ToString(before.ChecksumSHA256) {
			t.Errorf("ETag %s, checksum %s; were %s, %s", *after.ETag, aws.ToString(after.ChecksumSHA256), *before.ETag, aws.ToString(before.ChecksumSHA256))
		}
		if aws.ToString(after.ContentType) != "text/csv" || aws.ToString(after.ContentEncoding) != "br" || aws.ToString(after.CacheControl) != "no-store" || !maps.Equal(after.Metadata, before.Metadata) || len(before.Metadata) != 1 {
			t.Errorf("it has become %+v", after)
		}
		if got := content(t, s, key); got != "bytes" {
			t.Errorf("it holds %q", got)
		}
	})
}

func TestALargeObjectIsRenewedInParts(t *testing.T) {
	limits := objects.CopyLimits{Whole: 10, Part: 4}
	synctest.Test(t, func(t *testing.T) {
		s, transport := open(t)
		client := awsclient.FromConfig(aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String("http://s3.invalid"), HTTPClient: transport,
			Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		}).S3
		const key, body = "outputs/é b+c/a1-x/deep/file%20 1.csv", "eleven bytes and more"
		if _, err := client.PutObject(t.Context(), &awss3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader(body), ContentType: aws.String("text/csv"),
			ContentEncoding: aws.String("br"), Metadata: map[string]string{"job": "deal-1"}, ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		kinds, ranges := map[string]int{}, map[string]string{} // ranges by number of the part
		var begun http.Header
		served := transport.handler
		transport.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("X-Amz-Server-Side-Encryption", "aws:kms")
				w.Header().Set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "key-1")
			}
			served.ServeHTTP(w, r)
		})
		transport.fail = func(r *http.Request) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			if s3.Operation(r) == "UploadPartCopy" {
				ranges[r.URL.Query().Get("partNumber")] = r.Header.Get("X-Amz-Copy-Source-Range")
			}
			if kinds[s3.Operation(r)]++; s3.Operation(r) == "CreateMultipartUpload" {
				begun = r.Header.Clone()
			}
			return 0, nil
		}
		time.Sleep(20 * 24 * time.Hour)
		if err := s.Renew(t.Context(), key, int64(len(body)), limits); err != nil {
			t.Fatal(err)
		}
		if kinds["UploadPartCopy"] != 6 || kinds["CompleteMultipartUpload"] != 1 || kinds["CopyObject"] != 0 || limits.Requests(int64(len(body))) != 6+2 {
			t.Errorf("requests are %v", kinds)
		}
		if want := map[string]string{
			"1": "bytes=0-3", "2": "bytes=4-7", "3": "bytes=8-11", "4": "bytes=12-15", "5": "bytes=16-19", "6": "bytes=20-20",
		}; !maps.Equal(ranges, want) { // S3 refuses parts that are not listed in the order of their numbers
			t.Errorf("the parts are %v, want %v", ranges, want)
		}
		if begun.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || begun.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") != "key-1" {
			t.Errorf("the upload began with %v", begun)
		}
		if begun.Get("X-Amz-Checksum-Algorithm") != "SHA256" || begun.Get("X-Amz-Checksum-Type") != "COMPOSITE" {
			t.Errorf("the upload began with %v", begun)
		}
		head, err := client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(*head.LastModified) > time.Minute {
			t.Errorf("it is of %s", head.LastModified)
		}
		if aws.ToString(head.ContentType) != "text/csv" || aws.ToString(head.ContentEncoding) != "br" || head.Metadata["job"] != "deal-1" {
			t.Errorf("it has become %+v", head)
		}
		if got := content(t, s, key); got != body {
			t.Errorf("it holds %q", got)
		}
	})
}

func TestALargeObjectThatCannotBeRenewedStaysAsItWasAndLeavesNoUpload(t *testing.T) {
	const body = "eleven bytes and more"
	for name, row := range map[string]struct {
		fail func(s *objects.Store, operation string) (int, error)
		want error // nil: any that says nothing of the object
	}{
		"a part is refused": {func(_ *objects.Store, operation string) (int, error) {
			if operation == "UploadPartCopy" {
				return http.StatusForbidden, nil
			}
			return 0, nil
		}, objects.ErrDenied},
		"it is replaced meanwhile": {func(s *objects.Store, operation string) (int, error) {
			if operation == "CreateMultipartUpload" {
				_, err := s.Put(context.Background(), "k", []byte("another of this size!"), objects.Condition{})
				return 0, err
			}
			return 0, nil
		}, objects.ErrPrecondition},
		"the end is refused": {func(_ *objects.Store, operation string) (int, error) {
			if operation == "CompleteMultipartUpload" {
				return http.StatusForbidden, nil
			}
			return 0, nil
		}, objects.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			s, transport := open(t)
			put(t, s, "k", body, objects.Condition{})
			aborted, within := false, false
			var mu sync.Mutex
			transport.fail = func(r *http.Request) (int, error) {
				mu.Lock()
				if within {
					mu.Unlock()
					return 0, nil
				}
				if s3.Operation(r) == "AbortMultipartUpload" {
					aborted = true
				}
				within = s3.Operation(r) == "CreateMultipartUpload"
				mu.Unlock()
				status, err := row.fail(s, s3.Operation(r))
				mu.Lock()
				within = false
				mu.Unlock()
				return status, err
			}
			wantError(t, "renew", s.Renew(t.Context(), "k", -1, objects.CopyLimits{Whole: 10, Part: 4}), row.want)
			if !aborted {
				t.Error("the upload was left behind")
			}
			if got := content(t, s, "k"); len(got) != len(body) {
				t.Errorf("it holds %q", got)
			}
		})
	}
}

func TestTheUploadOfACallerWhoGivesUpIsAborted(t *testing.T) {
	s, transport := open(t)
	put(t, s, "k", "eleven bytes and more", objects.Condition{})
	ctx, giveUp := context.WithCancel(t.Context())
	var mu sync.Mutex
	aborted := false
	transport.fail = func(r *http.Request) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		switch s3.Operation(r) {
		case "UploadPartCopy":
			giveUp()
			return 0, context.Canceled
		case "AbortMultipartUpload":
			aborted = true
		}
		return 0, nil
	}
	wantError(t, "renew", s.Renew(ctx, "k", -1, objects.CopyLimits{Whole: 10, Part: 4}), context.Canceled)
	if !aborted {
		t.Error("the upload was left behind")
	}
}

func TestAnUploadThatIsGoneSaysNothingOfTheObject(t *testing.T) {
	s, transport := open(t)
	put(t, s, "k", "eleven bytes and more", objects.Condition{})
	transport.fail = func(r *http.Request) (int, error) {
		if s3.Operation(r) == "UploadPartCopy" { // somebody aborted the upload
			query := r.URL.Query()
			query.Set("uploadId", "999999")
			r.URL.RawQuery = query.Encode()
		}
		return 0, nil
	}
	err := s.Renew(t.Context(), "k", -1, objects.CopyLimits{Whole: 10, Part: 4})
	if err == nil || errors.Is(err, objects.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func TestPartsAreFewEnoughAndNoLargerThanS3Takes(t *testing.T) {
	for size, want := range map[int64]int{0: 1, 5 << 30: 1, 5<<30 + 1: 6 + 2, 1 << 40: 1024 + 2, 40 << 40: 10_000 + 2} {
		if got := (objects.CopyLimits{}).Requests(size); got != want {
			t.Errorf("%d bytes take %d requests, want %d", size, got, want)
		}
	}
}

func TestOnlyAnObjectThatIsAsItShouldBeIsRenewed(t *testing.T) {
	s, transport := open(t)
	wantError(t, "renew nothing", s.Renew(t.Context(), "none", 5, objects.CopyLimits{}), objects.ErrNotFound)
	put(t, s, "k", "bytes", objects.Condition{})
	wantError(t, "renew another size", s.Renew(t.Context(), "k", 6, objects.CopyLimits{}), objects.ErrOtherSize)
	wantError(t, "renew any size", s.Renew(t.Context(), "k", -1, objects.CopyLimits{}), nil)
	replaced := false
	transport.fail = func(r *http.Request) (int, error) {
		if r.Header.Get("X-Amz-Copy-Source") != "" && !replaced { // between its head and its copy
			replaced = true
			put(t, s, "k", "other", objects.Condition{})
		}
		return 0, nil
	}
	wantError(t, "renew what is replaced meanwhile", s.Renew(t.Context(), "k", 5, objects.CopyLimits{}), objects.ErrPrecondition)
}

func TestPuttingTheSameBytesWhereTheyMatchMakesThemYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := open(t)
		etag := put(t, s, "k", "bytes", objects.Condition{})
		before, err := s.Head(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if got := put(t, s, "k", "bytes", objects.Condition{IfMatch: etag}); got != etag {
			t.Errorf("the ETag is %s, was %s", got, etag)
		}
		after, err := s.Head(t.Context(), "k")
		if err != nil || after.LastModified.Sub(before.LastModified) != time.Hour {
			t.Errorf("it is of %s, was of %s; error %v", after.LastModified, before.LastModified, err)
		}
	})
}
