// Package objects is S3 as Spate uses it: conditional puts and gets, whole small objects, streams for large ones, and
// listings. It decides nothing.
package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// ErrNotFound says that there is no such object, or no such bucket. ErrPrecondition says that a conditional request found
// the object other than the condition wants it.
var (
	ErrNotFound     = errors.New("no such object")
	ErrPrecondition = errors.New("precondition failed")
	// ErrDenied says that S3 will not let this caller have the object, or that the bucket is elsewhere. S3 says so too of
	// an object that does not exist when the caller may not list the bucket.
	ErrDenied = errors.New("S3 denies access, or the bucket is in another Region")
)

// NoBucketError says that there is no such bucket, and so no object: it is an ErrNotFound, too. S3 does not tell it from an
// object that is missing when asked for the object's head alone.
type NoBucketError struct{ Bucket string }

// Error says which bucket.
func (e *NoBucketError) Error() string { return "there is no bucket " + e.Bucket }

// Is reports whether it is ErrNotFound.
func (e *NoBucketError) Is(target error) bool { return target == ErrNotFound }

// Store is one bucket. It is safe for concurrent use.
type Store struct {
	client *s3.Client
	bucket string
}

// New uses a bucket.
func New(client *s3.Client, bucket string) *Store { return &Store{client: client, bucket: bucket} }

// Bucket is the bucket's name.
func (s *Store) Bucket() string { return s.bucket }

// In is the same store for another bucket.
func (s *Store) In(bucket string) *Store { return &Store{client: s.client, bucket: bucket} }

// Check returns an error when the bucket does not exist, *NoBucketError, or may not be used. Missing objects look the same in a bucket
// that is missing, so check before believing them.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket})
	if status(err) == http.StatusNotFound {
		return &NoBucketError{s.bucket}
	}
	if err != nil {
		return fmt.Errorf("open bucket %q: %w", s.bucket, err)
	}
	return nil
}

// Info is what S3 knows of an object.
type Info struct {
	Key          string
	ETag         string // without quotes
	Size         int64  // bytes
	LastModified time.Time
}

// Condition makes a request conditional. The zero value is none.
type Condition struct {
	IfAbsent bool   // only when there is no object
	IfMatch  string // only when the object has this ETag (without quotes)
}

func (c Condition) headers() (ifNoneMatch, ifMatch *string) {
	if c.IfAbsent {
		ifNoneMatch = aws.String("*")
	}
	if c.IfMatch != "" {
		ifMatch = aws.String(quote(c.IfMatch))
	}
	return ifNoneMatch, ifMatch
}

// A conditional request that meets a concurrent one (409) is sent again, after pauses that double from the first.
const (
	conflictTries      = 6
	firstConflictPause = 50 * time.Millisecond
)

// pastConflicts calls do until it meets no concurrent request, or too many.
func pastConflicts(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if status(err) != http.StatusConflict || try == conflictTries {
			return err
		}
		pause := firstConflictPause << (try - 1)
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// Put writes a small object and returns its ETag. ErrPrecondition: the condition did not hold, perhaps because an earlier
// try of this put had its effect although it seemed to fail. ErrNotFound: there is no object of which IfMatch could hold.
func (s *Store) Put(ctx context.Context, key string, data []byte, c Condition) (etag string, err error) {
	err = pastConflicts(ctx, func() error {
		var err error
		etag, err = s.put(ctx, key, bytes.NewReader(data), int64(len(data)), c)
		return err
	})
	return etag, err
}

// PutStream writes size bytes from body, at most 5 GB (Amazon S3 API reference, "PutObject"). A try that failed begins
// again where body stood at first.
func (s *Store) PutStream(ctx context.Context, key string, body io.ReadSeeker, size int64) (etag string, err error) {
	return s.put(ctx, key, body, size, Condition{})
}

// ReplaceStream is PutStream in the place of an object with the ETag. ErrPrecondition: another stands there; ErrNotFound:
// none does.
func (s *Store) ReplaceStream(ctx context.Context, key, etag string, body io.ReadSeeker, size int64) error {
	_, err := s.put(ctx, key, body, size, Condition{IfMatch: etag})
	return err
}

func (s *Store) put(ctx context.Context, key string, body io.Reader, size int64, c Condition) (string, error) {
	ifNoneMatch, ifMatch := c.headers()
	out, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: body, ContentLength: &size, IfNoneMatch: ifNoneMatch, IfMatch: ifMatch,
	})
	if err != nil {
		return "", s.wrap("put", key, err)
	}
	return unquote(out.ETag), nil
}

// Get reads a whole object.
func (s *Store) Get(ctx context.Context, key string) ([]byte, Info, error) {
	body, info, err := s.Open(ctx, key, Condition{})
	if err != nil {
		return nil, Info{}, err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, Info{}, s.wrap("get", key, err)
	}
	return data, info, nil
}

// Open begins to read an object. The caller closes it. ErrNotFound: there is none; ErrPrecondition: it is another.
func (s *Store) Open(ctx context.Context, key string, c Condition) (io.ReadCloser, Info, error) {
	_, ifMatch := c.headers()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, IfMatch: ifMatch})
	if err != nil {
		return nil, Info{}, s.wrap("get", key, err)
	}
	return out.Body, Info{key, unquote(out.ETag), aws.ToInt64(out.ContentLength), aws.ToTime(out.LastModified)}, nil
}

// Head asks for an object without reading it. ErrNotFound: there is none.
func (s *Store) Head(ctx context.Context, key string) (Info, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return Info{}, s.wrap("head", key, err)
	}
	return Info{key, unquote(out.ETag), aws.ToInt64(out.ContentLength), aws.ToTime(out.LastModified)}, nil
}

// Delete removes an object. One that does not exist is no error unless the condition asks for an ETag.
func (s *Store) Delete(ctx context.Context, key string, c Condition) error {
	_, ifMatch := c.headers()
	return pastConflicts(ctx, func() error {
		_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key, IfMatch: ifMatch})
		if err != nil {
			return s.wrap("delete", key, err)
		}
		return nil
	})
}

// List yields the objects below a prefix, in order of their keys. An error ends it.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for page, err := range s.Pages(ctx, prefix, "") {
			if err != nil {
				yield(Info{}, err)
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

// Pages yields the objects below a prefix whose keys come after another, in order, as many at a time as S3 lists in one
// request: a thousand. It asks for a page only when it is wanted. An error ends it.
func (s *Store) Pages(ctx context.Context, prefix, after string) iter.Seq2[[]Info, error] {
	return func(yield func([]Info, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix}
		if after != "" {
			in.StartAfter = &after
		}
		pages := s3.NewListObjectsV2Paginator(s.client, in)
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, s.wrap("list", prefix, err))
				return
			}
			page := make([]Info, len(out.Contents))
			for i, o := range out.Contents {
				page[i] = Info{aws.ToString(o.Key), unquote(o.ETag), aws.ToInt64(o.Size), aws.ToTime(o.LastModified)}
			}
			if !yield(page, nil) {
				return
			}
		}
	}
}

func (s *Store) wrap(verb, key string, err error) error {
	switch status(err) {
	case http.StatusNotFound:
		if answer, ok := errors.AsType[smithy.APIError](err); ok && answer.ErrorCode() == "NoSuchBucket" {
			return fmt.Errorf("%s s3://%s/%s: %w", verb, s.bucket, key, &NoBucketError{s.bucket})
		}
		return fmt.Errorf("%s s3://%s/%s: %w", verb, s.bucket, key, ErrNotFound)
	case http.StatusPreconditionFailed:
		return fmt.Errorf("%s s3://%s/%s: %w", verb, s.bucket, key, ErrPrecondition)
	case http.StatusForbidden, http.StatusMovedPermanently:
		return fmt.Errorf("%s s3://%s/%s: %w (%w)", verb, s.bucket, key, ErrDenied, err)
	}
	return fmt.Errorf("%s s3://%s/%s: %w", verb, s.bucket, key, err)
}

func status(err error) int {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return response.HTTPStatusCode()
	}
	return 0
}

func quote(etag string) string { return `"` + etag + `"` }

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
