package contract

import (
	"crypto/md5" //nolint:gosec // what an ETag is made of
	"encoding/hex"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func uploadFacts() []Fact {
	return []Fact{
		{Name: "parts-become-one", Sentence: "The parts of a multipart upload become one object", Source: s3Multipart, check: partsBecomeOne},
		{Name: "parts-etag", Sentence: "The ETag of such an object is the MD5 of its parts' MD5s, and their number", Source: "Amazon S3 user guide, checking object integrity", check: partsETag},
		{Name: "parts-unseen", Sentence: "An upload that is not completed is no object", Source: s3Multipart, check: partsUnseen},
		{Name: "parts-aborted", Sentence: "An aborted upload is NoSuchUpload", Source: "Amazon S3 API reference, AbortMultipartUpload", check: partsAborted},
		{Name: "part-too-small", Sentence: "A part of less than 5 MiB, other than the last, is EntityTooSmall", Source: "Amazon S3 user guide, multipart upload limits", check: partTooSmall},
		{Name: "part-copied", Sentence: "A part may be copied from a range of an object", Source: "Amazon S3 API reference, UploadPartCopy", check: partCopied},
		{Name: "part-copied-on-condition", Sentence: "It may depend on the source's ETag", Source: "Amazon S3 API reference, UploadPartCopy", check: partCopiedOnCondition},
		{Name: "part-copied-over-itself", Sentence: "An object may be put together of its own parts, and is then new", Source: "Amazon S3 API reference, UploadPartCopy", check: partCopiedOverItself},
	}
}

// upload is a multipart upload of the key k.
type upload struct {
	*bucket
	id    *string
	parts []types.CompletedPart
}

func (b *bucket) upload(bodies ...string) *upload {
	out := must(b.client.CreateMultipartUpload(b.ctx, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: aws.String("k")}))
	u := &upload{bucket: b, id: out.UploadId}
	for i, body := range bodies {
		number := aws.Int32(int32(i + 1))
		part := must(u.client.UploadPart(u.ctx, &s3.UploadPartInput{
			Bucket: &u.name, Key: aws.String("k"), UploadId: u.id, PartNumber: number, Body: strings.NewReader(body),
		}))
		u.parts = append(u.parts, types.CompletedPart{ETag: part.ETag, PartNumber: number})
	}
	return u
}

func (u *upload) complete() (*s3.CompleteMultipartUploadOutput, error) {
	return u.client.CompleteMultipartUpload(u.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.name, Key: aws.String("k"), UploadId: u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
}

func firstPart() string { return strings.Repeat("x", 5<<20) }

func partsBecomeOne(p *probe) {
	b := p.bucket()
	must(b.upload(firstPart(), "end").complete())
	require(b.get("k") == firstPart()+"end", "it has %d bytes", len(b.get("k")))
}

func partsETag(p *probe) {
	b := p.bucket()
	out := must(b.upload(firstPart(), "end").complete())
	whole := md5.New() //nolint:gosec // what an ETag is made of
	for _, part := range []string{firstPart(), "end"} {
		sum := md5.Sum([]byte(part)) //nolint:gosec // what an ETag is made of
		whole.Write(sum[:])
	}
	want := `"` + hex.EncodeToString(whole.Sum(nil)) + `-2"`
	require(aws.ToString(out.ETag) == want && aws.ToString(must(b.head("k")).ETag) == want, "ETag %s, then %s, want %s", aws.ToString(out.ETag), aws.ToString(must(b.head("k")).ETag), want)
}

func partsUnseen(p *probe) {
	b := p.bucket()
	b.upload(firstPart())
	require(len(b.keys(nil)) == 0, "listed %v", b.keys(nil))
	_, err := b.head("k")
	refused(err, codes("NotFound"))
}

func partsAborted(p *probe) {
	u := p.bucket().upload("part")
	must(u.client.AbortMultipartUpload(p.ctx, &s3.AbortMultipartUploadInput{Bucket: &u.name, Key: aws.String("k"), UploadId: u.id}))
	_, err := u.complete()
	refused(err, codes("NoSuchUpload"))
}

func partTooSmall(p *probe) {
	_, err := p.bucket().upload("small", "end").complete()
	refused(err, codes("EntityTooSmall"))
}

// copied adds a part that is a range of an object.
func (u *upload) copied(from, bytes, etag string) error {
	number := aws.Int32(int32(len(u.parts) + 1))
	in := &s3.UploadPartCopyInput{
		Bucket: &u.name, Key: aws.String("k"), UploadId: u.id, PartNumber: number, CopySource: aws.String(u.name + "/" + from), CopySourceRange: &bytes,
	}
	if etag != "" {
		in.CopySourceIfMatch = &etag
	}
	out, err := u.client.UploadPartCopy(u.ctx, in)
	if err == nil {
		u.parts = append(u.parts, types.CompletedPart{ETag: out.CopyPartResult.ETag, PartNumber: number})
	}
	return err
}

func partCopied(p *probe) {
	b := p.bucket()
	b.put("from", "some bytes")
	u := b.upload()
	must(0, u.copied("from", "bytes=5-9", ""))
	must(u.complete())
	require(b.get("k") == "bytes", "it is %q", b.get("k"))
}

func partCopiedOnCondition(p *probe) {
	b := p.bucket()
	b.put("from", "some bytes")
	u := b.upload()
	must(0, u.copied("from", "bytes=5-9", aws.ToString(must(b.head("from")).ETag)))
	refused(u.copied("from", "bytes=5-9", `"00000000000000000000000000000000"`), codes("PreconditionFailed"))
}

func partCopiedOverItself(p *probe) {
	b := p.bucket()
	whole := firstPart() + "end"
	b.put("k", whole)
	u := b.upload()
	etag := aws.ToString(must(b.head("k")).ETag)
	must(0, u.copied("k", "bytes=0-5242879", etag))
	must(0, u.copied("k", "bytes=5242880-5242882", etag))
	must(u.complete())
	require(b.get("k") == whole, "it has %d bytes", len(b.get("k")))
}
