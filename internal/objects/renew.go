package objects

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

// ErrOtherSize says that an object has another size than it should.
var ErrOtherSize = errors.New("the object has another size")

// CopyLimits say how objects are copied. The zero value is what S3 allows.
type CopyLimits struct {
	Whole int64 // bytes of the largest object that is copied in one request; default and most 5 GiB (Amazon S3 API reference, "CopyObject")
	Part  int64 // bytes of the parts in which larger ones are; default 1 GiB, at least 5 MiB, at most 5 GiB ("UploadPartCopy")
}

// Limits of a multipart upload (Amazon S3 user guide, "Amazon S3 multipart upload limits").
const (
	maxWhole = 5 << 30
	usual    = 1 << 30 // a part: the larger ones take longer, one by one
	maxParts = 10_000
)

func (l CopyLimits) orUsual() CopyLimits {
	if l.Whole <= 0 || l.Whole > maxWhole {
		l.Whole = maxWhole
	}
	if l.Part <= 0 || l.Part > maxWhole {
		l.Part = usual
	}
	return l
}

// parts is in how many parts an object of a size is copied, and how large they are but for the last; 0 when it is copied whole.
func (l CopyLimits) parts(size int64) (n, bytes int64) {
	l = l.orUsual()
	if size <= l.Whole {
		return 0, 0
	}
	bytes = max(l.Part, (size+maxParts-1)/maxParts)
	return (size + bytes - 1) / bytes, bytes
}

// Requests is how many requests of S3's dearer class it takes to renew an object of a size in bytes.
func (l CopyLimits) Requests(size int64) int {
	n, _ := l.parts(size)
	if n == 0 {
		return 1
	}
	return int(n) + 2 // to begin and to complete
}

// Renew copies an object onto itself, with what S3 keeps beside its bytes, so that its LastModified is now. size is what it should
// have; below 0 any will do. An object that is copied in parts gets another ETag, and loses its tags. ErrNotFound: there is
// none; ErrOtherSize: it has another size, and is as it was; ErrPrecondition: it was replaced meanwhile. What is deleted
// meanwhile stays deleted, or comes back renewed.
func (s *Store) Renew(ctx context.Context, key string, size int64, limits CopyLimits) error {
	have, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return s.wrap("head", key, err)
	}
	got := aws.ToInt64(have.ContentLength)
	if size >= 0 && got != size {
		return fmt.Errorf("renew s3://%s/%s: %w: %d bytes, not %d", s.bucket, key, ErrOtherSize, got, size)
	}
	source := url.PathEscape(s.bucket + "/" + key)
	if n, part := limits.parts(got); n > 0 {
		return s.renewParts(ctx, key, source, have, part)
	}
	in := &s3.CopyObjectInput{
		Bucket: &s.bucket, Key: &key, CopySource: &source, CopySourceIfMatch: have.ETag,
		MetadataDirective: types.MetadataDirectiveReplace, // S3 refuses a copy that changes nothing
		CacheControl:      have.CacheControl, ContentDisposition: have.ContentDisposition, ContentEncoding: have.ContentEncoding,
		ContentLanguage: have.ContentLanguage, ContentType: have.ContentType, Metadata: have.Metadata,
		StorageClass: have.StorageClass, WebsiteRedirectLocation: have.WebsiteRedirectLocation,
		ServerSideEncryption: have.ServerSideEncryption, SSEKMSKeyId: have.SSEKMSKeyId, BucketKeyEnabled: have.BucketKeyEnabled,
	}
	return pastConflicts(ctx, func() error {
		if _, err := s.client.CopyObject(ctx, in); err != nil {
			return s.wrap("renew", key, err)
		}
		return nil
	})
}

// Copying parts: so many at a time, and how long an upload that failed may take to abort.
const (
	parallelParts = 8
	abortTime     = 30 * time.Second
)

// renewParts copies an object onto itself in parts. One that fails leaves the object as it was, and no upload behind.
func (s *Store) renewParts(ctx context.Context, key, source string, have *s3.HeadObjectOutput, part int64) error {
	algorithm, kind := checksum(have)
	upload, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, ChecksumAlgorithm: algorithm, ChecksumType: kind,
		CacheControl: have.CacheControl, ContentDisposition: have.ContentDisposition, ContentEncoding: have.ContentEncoding,
		ContentLanguage: have.ContentLanguage, ContentType: have.ContentType, Metadata: have.Metadata,
		StorageClass: have.StorageClass, WebsiteRedirectLocation: have.WebsiteRedirectLocation,
		ServerSideEncryption: have.ServerSideEncryption, SSEKMSKeyId: have.SSEKMSKeyId, BucketKeyEnabled: have.BucketKeyEnabled,
	})
	if err != nil {
		return s.wrap("renew", key, err)
	}
	parts, err := s.copyParts(ctx, aws.ToInt64(have.ContentLength), part, s3.UploadPartCopyInput{
		Bucket: &s.bucket, Key: &key, UploadId: upload.UploadId, CopySource: &source, CopySourceIfMatch: have.ETag,
	})
	if err == nil {
		_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &s.bucket, Key: &key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if err == nil {
		return nil
	}
	err = s.wrapUpload(key, err)
	abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_, aborted := s.client.AbortMultipartUpload(abort, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: upload.UploadId})
	if aborted != nil && !isNoUpload(aborted) {
		return errors.Join(err, s.wrapUpload(key, aborted))
	}
	return err
}

// copyParts copies so many bytes in parts of a size; each is asked for as in, which its number and range are added to.
func (s *Store) copyParts(ctx context.Context, size, part int64, in s3.UploadPartCopyInput) ([]types.CompletedPart, error) {
	parts := make([]types.CompletedPart, (size+part-1)/part)
	copies, ctx := errgroup.WithContext(ctx)
	copies.SetLimit(parallelParts)
	for i := range parts {
		from := int64(i) * part
		in.PartNumber, in.CopySourceRange = aws.Int32(int32(i+1)), aws.String(fmt.Sprintf("bytes=%d-%d", from, min(from+part, size)-1))
		one := in
		copies.Go(func() error {
			out, err := s.client.UploadPartCopy(ctx, &one)
			if err != nil {
				return err
			}
			r := out.CopyPartResult
			parts[i] = types.CompletedPart{
				PartNumber: one.PartNumber, ETag: r.ETag, ChecksumCRC32: r.ChecksumCRC32, ChecksumCRC32C: r.ChecksumCRC32C,
				ChecksumCRC64NVME: r.ChecksumCRC64NVME, ChecksumSHA1: r.ChecksumSHA1, ChecksumSHA256: r.ChecksumSHA256,
			}
			return nil
		})
	}
	return parts, copies.Wait()
}

// checksum is the algorithm of an object's checksum, and how it is made of parts: SHA ones only of the parts' own. None: S3
// chooses.
func checksum(have *s3.HeadObjectOutput) (types.ChecksumAlgorithm, types.ChecksumType) {
	switch {
	case have.ChecksumSHA256 != nil:
		return types.ChecksumAlgorithmSha256, types.ChecksumTypeComposite
	case have.ChecksumSHA1 != nil:
		return types.ChecksumAlgorithmSha1, types.ChecksumTypeComposite
	case have.ChecksumCRC32C != nil:
		return types.ChecksumAlgorithmCrc32c, types.ChecksumTypeFullObject
	case have.ChecksumCRC32 != nil:
		return types.ChecksumAlgorithmCrc32, types.ChecksumTypeFullObject
	case have.ChecksumCRC64NVME != nil:
		return types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeFullObject
	}
	return "", ""
}

// wrapUpload is wrap, but for an upload that is gone: of the object that proves nothing.
func (s *Store) wrapUpload(key string, err error) error {
	if isNoUpload(err) {
		return fmt.Errorf("renew s3://%s/%s: its upload in parts is gone: %s", s.bucket, key, err) //nolint:errorlint // its 404 is not the object's
	}
	return s.wrap("renew", key, err)
}

func isNoUpload(err error) bool {
	answer, ok := errors.AsType[smithy.APIError](err)
	return ok && answer.ErrorCode() == "NoSuchUpload"
}
