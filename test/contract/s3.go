package contract

import (
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	s3Conditions    = "Amazon S3 user guide, conditional requests"
	s3Consistency   = "Amazon S3 user guide, data consistency model"
	s3Checksums     = "Amazon S3 user guide, checking object integrity"
	s3Notifications = "Amazon S3 user guide, event notifications"
	s3Multipart     = "Amazon S3 user guide, multipart upload"
	s3Errors        = "Amazon S3 API reference, error responses"
	apiGetObject    = "Amazon S3 API reference, GetObject"
	apiListObjects  = "Amazon S3 API reference, ListObjectsV2"
	apiCopyObject   = "Amazon S3 API reference, CopyObject"
)

func s3Facts() []Fact {
	return slices.Concat(objectFacts(), conditionFacts(), bucketFacts(), uploadFacts())
}

// bucket is one bucket and its client.
type bucket struct {
	*probe
	client *s3.Client
	name   string
}

func (p *probe) s3(options ...func(*s3.Options)) *s3.Client {
	return s3.NewFromConfig(p.target.config(), append(options, func(o *s3.Options) { o.UsePathStyle = true })...)
}

func (p *probe) bucket() *bucket {
	b := &bucket{probe: p, client: p.s3(), name: p.name("bucket")}
	must(b.client.CreateBucket(p.ctx, &s3.CreateBucketInput{Bucket: &b.name}))
	return b
}

// put puts an object and gives its ETag.
func (b *bucket) put(key, body string) string {
	return must(b.tryPut(key, body, nil))
}

func (b *bucket) tryPut(key, body string, change func(*s3.PutObjectInput)) (string, error) {
	in := &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: strings.NewReader(body)}
	if change != nil {
		change(in)
	}
	out, err := b.client.PutObject(b.ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

func (b *bucket) get(key string) string { return must(b.tryGet(key, nil)) }

func (b *bucket) tryGet(key string, change func(*s3.GetObjectInput)) (string, error) {
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &key}
	if change != nil {
		change(in)
	}
	out, err := b.client.GetObject(b.ctx, in)
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Body.Close() }()
	body, err := io.ReadAll(out.Body)
	return string(body), err
}

func (b *bucket) head(key string) (*s3.HeadObjectOutput, error) {
	return b.client.HeadObject(b.ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key, ChecksumMode: "ENABLED"})
}

// keys lists them, all pages.
func (b *bucket) keys(change func(*s3.ListObjectsV2Input)) []string {
	in := &s3.ListObjectsV2Input{Bucket: &b.name}
	if change != nil {
		change(in)
	}
	var all []string
	for pages := s3.NewListObjectsV2Paginator(b.client, in); pages.HasMorePages(); {
		for _, o := range must(pages.NextPage(b.ctx)).Contents {
			all = append(all, aws.ToString(o.Key))
		}
	}
	return all
}
