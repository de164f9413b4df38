package contract

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func objectFacts() []Fact {
	return []Fact{
		{Name: "object-kept", Sentence: "An object comes back with its bytes, content type and metadata", Source: apiGetObject, check: objectKept},
		{Name: "read-after-write", Sentence: "A read, a HEAD and a listing see the write before them", Source: s3Consistency, check: objectReadAfterWrite},
		{Name: "etag-is-md5", Sentence: "The ETag of a plain put is the MD5 of its bytes", Source: "Amazon S3 API reference, Object", check: etagIsMD5},
		{Name: "checksum-kept", Sentence: "A SHA-256 given with a put is kept, and given when asked for", Source: s3Checksums, check: checksumKept},
		{Name: "checksum-checked", Sentence: "A put whose SHA-256 is not that of its bytes is refused", Source: s3Checksums, check: checksumChecked},
		{Name: "strange-keys", Sentence: "Keys with spaces, signs and any letters are kept", Source: "Amazon S3 user guide, naming objects", check: strangeKeys},
		{Name: "range", Sentence: "A range of bytes is served, with the whole's length", Source: apiGetObject, check: rangeServed},
		{Name: "range-beyond-end", Sentence: "A range beyond the end is InvalidRange", Source: apiGetObject, check: rangeBeyondEnd},
		{Name: "missing-key", Sentence: "A missing key is NoSuchKey, or NotFound of a HEAD", Source: s3Errors, check: missingKey},
		{Name: "missing-bucket", Sentence: "A missing bucket is NoSuchBucket", Source: s3Errors, check: missingBucket},
		{Name: "delete-missing", Sentence: "Deleting a missing key succeeds", Source: "Amazon S3 API reference, DeleteObject", check: deleteMissing},
		{Name: "delete-many", Sentence: "Many keys are deleted in one call, missing ones too", Source: "Amazon S3 API reference, DeleteObjects", check: deleteMany},
		{Name: "delete-1001", Sentence: "More than 1,000 deletions a call are MalformedXML", Source: "Amazon S3 API reference, DeleteObjects", check: delete1001},
		{Name: "copy-keeps", Sentence: "A copy has bytes and metadata of its source", Source: apiCopyObject, check: copyKeeps},
		{Name: "copy-onto-itself", Sentence: "A copy onto itself that changes nothing is InvalidRequest", Source: apiCopyObject, check: copyOntoItself},
		{Name: "copy-renews", Sentence: "A copy onto itself with replaced metadata renews LastModified", Source: apiCopyObject, check: copyRenews},
		{Name: "copy-on-condition", Sentence: "A copy of another version than the one named is PreconditionFailed", Source: apiCopyObject, check: copyOnCondition},
		{Name: "unsigned", Sentence: "A request without a signature is answered on loopback", Source: ownDocs, check: unsignedS3},
	}
}

func objectKept(p *probe) {
	b := p.bucket()
	must(b.tryPut("k", "body", func(in *s3.PutObjectInput) {
		in.ContentType, in.Metadata = aws.String("application/json"), map[string]string{"job": "deal-1"}
	}))
	require(b.get("k") == "body", "the bytes are %q", b.get("k"))
	h := must(b.head("k"))
	require(aws.ToInt64(h.ContentLength) == 4 && aws.ToString(h.ContentType) == "application/json" && h.Metadata["job"] == "deal-1",
		"length %d, type %s, metadata %v", aws.ToInt64(h.ContentLength), aws.ToString(h.ContentType), h.Metadata)
}

func objectReadAfterWrite(p *probe) {
	b := p.bucket()
	for _, body := range []string{"one", "another"} {
		b.put("k", body)
		require(b.get("k") == body && aws.ToInt64(must(b.head("k")).ContentLength) == int64(len(body)), "read something else than %q", body)
	}
	b.put("l", "")
	require(slices.Equal(b.keys(nil), []string{"k", "l"}), "listed %v", b.keys(nil))
}

func etagIsMD5(p *probe) {
	etag := p.bucket().put("k", "hello")
	require(etag == `"5d41402abc4b2a76b9719d911017c592"`, "ETag %s", etag)
}

// helloSHA256 is that of "hello", in base64.
const helloSHA256 = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="

func withSHA256(sum string) func(*s3.PutObjectInput) {
	return func(in *s3.PutObjectInput) { in.ChecksumSHA256 = &sum }
}

func checksumKept(p *probe) {
	b := p.bucket()
	must(b.tryPut("k", "hello", withSHA256(helloSHA256)))
	require(aws.ToString(must(b.head("k")).ChecksumSHA256) == helloSHA256, "checksum %s", aws.ToString(must(b.head("k")).ChecksumSHA256))
}

func checksumChecked(p *probe) {
	b := p.bucket()
	_, err := b.tryPut("k", "hullo", withSHA256(helloSHA256))
	refused(err, codes("BadDigest", "XAmzContentChecksumMismatch", "InvalidRequest"))
	require(len(b.keys(nil)) == 0, "it was stored all the same")
}

func strangeKeys(p *probe) {
	b := p.bucket()
	keys := []string{"a b+c&d=é/ü ?#%41.csv", "dir//twice", "z/Ω"}
	for _, key := range keys {
		b.put(key, key)
		require(b.get(key) == key, "%s holds %s", key, b.get(key))
	}
	require(slices.Equal(b.keys(nil), keys), "listed %q", b.keys(nil))
}

func rangeServed(p *probe) {
	b := p.bucket()
	b.put("k", "0123456789")
	out := must(b.client.GetObject(p.ctx, &s3.GetObjectInput{Bucket: &b.name, Key: aws.String("k"), Range: aws.String("bytes=2-4")}))
	defer func() { _ = out.Body.Close() }()
	require(aws.ToString(out.ContentRange) == "bytes 2-4/10" && aws.ToInt64(out.ContentLength) == 3, "range %s", aws.ToString(out.ContentRange))
	last := must(b.tryGet("k", func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=-3") }))
	require(last == "789", "the last three are %q", last)
}

func rangeBeyondEnd(p *probe) {
	b := p.bucket()
	b.put("k", "0123456789")
	_, err := b.tryGet("k", func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=10-") })
	refused(err, codes("InvalidRange"))
}

func missingKey(p *probe) {
	b := p.bucket()
	_, err := b.tryGet("none", nil)
	refused(err, codes("NoSuchKey"))
	_, err = b.head("none")
	refused(err, codes("NotFound"))
}

func missingBucket(p *probe) {
	b := &bucket{probe: p, client: p.s3(), name: p.name("none")}
	_, err := b.tryPut("k", "v", nil)
	refused(err, codes("NoSuchBucket"))
	_, err = b.client.ListObjectsV2(p.ctx, &s3.ListObjectsV2Input{Bucket: &b.name})
	refused(err, codes("NoSuchBucket"))
}

func deleteMissing(p *probe) {
	b := p.bucket()
	must(b.client.DeleteObject(p.ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String("none")}))
}

func (b *bucket) deleteAll(keys ...string) (*s3.DeleteObjectsOutput, error) {
	var objects []types.ObjectIdentifier
	for _, key := range keys {
		objects = append(objects, types.ObjectIdentifier{Key: &key})
	}
	return b.client.DeleteObjects(b.ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: objects}})
}

func deleteMany(p *probe) {
	b := p.bucket()
	for _, key := range []string{"a", "b", "c"} {
		b.put(key, "")
	}
	out := must(b.deleteAll("a", "b", "none"))
	require(len(out.Deleted) == 3 && len(out.Errors) == 0, "deleted %d, errors %v", len(out.Deleted), out.Errors)
	require(slices.Equal(b.keys(nil), []string{"c"}), "left: %v", b.keys(nil))
}

func delete1001(p *probe) {
	_, err := p.bucket().deleteAll(numbered("k", 1001)...)
	refused(err, codes("MalformedXML"))
}

func (b *bucket) copy(from, to string, change func(*s3.CopyObjectInput)) error {
	in := &s3.CopyObjectInput{Bucket: &b.name, Key: &to, CopySource: aws.String(b.name + "/" + from)}
	if change != nil {
		change(in)
	}
	_, err := b.client.CopyObject(b.ctx, in)
	return err
}

func copyKeeps(p *probe) {
	b := p.bucket()
	must(b.tryPut("k", "body", func(in *s3.PutObjectInput) { in.Metadata = map[string]string{"job": "deal-1"} }))
	must(0, b.copy("k", "l", nil))
	require(b.get("l") == "body" && must(b.head("l")).Metadata["job"] == "deal-1", "the copy is %q, %v", b.get("l"), must(b.head("l")).Metadata)
}

func copyOntoItself(p *probe) {
	b := p.bucket()
	b.put("k", "body")
	refused(b.copy("k", "k", nil), codes("InvalidRequest"))
}

func copyRenews(p *probe) {
	b := p.bucket()
	b.put("k", "body")
	before := must(b.head("k"))
	p.pause(1100 * time.Millisecond) // LastModified has seconds
	must(0, b.copy("k", "k", func(in *s3.CopyObjectInput) { in.MetadataDirective = types.MetadataDirectiveReplace }))
	after := must(b.head("k"))
	require(after.LastModified.After(*before.LastModified) && aws.ToString(after.ETag) == aws.ToString(before.ETag),
		"modified %s and then %s", before.LastModified, after.LastModified)
}

func copyOnCondition(p *probe) {
	b := p.bucket()
	old := b.put("k", "old")
	b.put("k", "new")
	refused(b.copy("k", "l", func(in *s3.CopyObjectInput) { in.CopySourceIfMatch = &old }), codes("PreconditionFailed"))
}

func unsignedS3(p *probe) {
	b := p.bucket()
	b.put("k", "body")
	b.client = p.s3(func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} })
	require(strings.HasPrefix(b.get("k"), "body"), "something else was read")
}
