package s3_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

func TestAPartIsCopiedFromARangeOfItsSource(t *testing.T) {
	c := newClient(t)
	put, err := c.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: aws.String("from"), Body: strings.NewReader("some bytes")})
	if err != nil {
		t.Fatal(err)
	}
	key := aws.String("to")
	started, err := c.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	part := func(from, span, etag string) (*awss3.UploadPartCopyOutput, error) {
		return c.UploadPartCopy(t.Context(), &awss3.UploadPartCopyInput{
			Bucket: bucket, Key: key, UploadId: started.UploadId, PartNumber: aws.Int32(1),
			CopySource: aws.String("data/" + from), CopySourceRange: &span, CopySourceIfMatch: &etag,
		})
	}
	for code, refused := range map[string]func() error{
		"NoSuchKey":          func() error { _, err := part("none", "bytes=5-9", *put.ETag); return err },
		"InvalidArgument":    func() error { _, err := part("from", "bytes=5-10", *put.ETag); return err },
		"PreconditionFailed": func() error { _, err := part("from", "bytes=5-9", `"another"`); return err },
	} {
		if answer, ok := errors.AsType[smithy.APIError](refused()); !ok || answer.ErrorCode() != code {
			t.Errorf("want %s, got %v", code, answer)
		}
	}
	copied, err := part("from", "bytes=5-9", *put.ETag)
	if err != nil || copied.CopyPartResult.LastModified.IsZero() {
		t.Fatalf("copied %+v, error %v", copied, err)
	}
	if _, err := c.CompleteMultipartUpload(t.Context(), &awss3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: started.UploadId, MultipartUpload: &types.CompletedMultipartUpload{
			Parts: []types.CompletedPart{{ETag: copied.CopyPartResult.ETag, PartNumber: aws.Int32(1)}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(got.Body); err != nil || string(body) != "bytes" {
		t.Errorf("it holds %q, error %v", body, err)
	}
}
