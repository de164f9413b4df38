package objects_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"spate/internal/awsclient"
	"spate/internal/objects"
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
		if err := s.Renew(t.Context(), key, 5); err != nil {
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

func TestOnlyAnObjectThatIsAsItShouldBeIsRenewed(t *testing.T) {
	s, transport := open(t)
	wantError(t, "renew nothing", s.Renew(t.Context(), "none", 5), objects.ErrNotFound)
	put(t, s, "k", "bytes", objects.Condition{})
	wantError(t, "renew another size", s.Renew(t.Context(), "k", 6), objects.ErrOtherSize)
	wantError(t, "renew any size", s.Renew(t.Context(), "k", -1), nil)
	replaced := false
	transport.fail = func(r *http.Request) (int, error) {
		if r.Header.Get("X-Amz-Copy-Source") != "" && !replaced { // between its head and its copy
			replaced = true
			put(t, s, "k", "other", objects.Condition{})
		}
		return 0, nil
	}
	wantError(t, "renew what is replaced meanwhile", s.Renew(t.Context(), "k", 5), objects.ErrPrecondition)
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
