package contract

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func conditionFacts() []Fact {
	return []Fact{
		{Name: "put-if-absent", Sentence: "A put with `If-None-Match: *` makes an object", Source: s3Conditions, check: putIfAbsent},
		{Name: "put-if-absent-refused", Sentence: "A put with `If-None-Match: *` onto an object is PreconditionFailed and changes nothing", Source: s3Conditions, check: putIfAbsentRefused},
		{Name: "put-if-absent-once", Sentence: "Of many such puts at once exactly one succeeds; the others fail or conflict", Source: s3Conditions, check: putIfAbsentOnce},
		{Name: "put-if-match", Sentence: "A put with `If-Match` replaces the version it names, and no other", Source: s3Conditions, check: putIfMatch},
		{Name: "put-if-match-absent", Sentence: "A put with `If-Match` onto nothing is NoSuchKey", Source: s3Conditions, check: putIfMatchAbsent},
		{Name: "get-if-match", Sentence: "A get with `If-Match` of another version is PreconditionFailed", Source: apiGetObject, check: getIfMatch},
		{Name: "get-if-none-match", Sentence: "A get with `If-None-Match` of the same version is 304", Source: apiGetObject, check: getIfNoneMatch},
		{Name: "delete-if-match", Sentence: "A delete with `If-Match` deletes the version it names, and no other", Source: "Amazon S3 user guide, conditional deletes", check: deleteIfMatch},
	}
}

func changed() []string { return codes("PreconditionFailed") }

func ifAbsent(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }

func putIfAbsent(p *probe) {
	b := p.bucket()
	must(b.tryPut("k", "first", ifAbsent))
	require(b.get("k") == "first", "it holds %q", b.get("k"))
}

func putIfAbsentRefused(p *probe) {
	b := p.bucket()
	b.put("k", "first")
	_, err := b.tryPut("k", "second", ifAbsent)
	refused(err, changed())
	require(b.get("k") == "first", "it holds %q", b.get("k"))
}

func putIfAbsentOnce(p *probe) {
	b, outcomes := p.bucket(), make(chan error, 8)
	for range 8 {
		go func() {
			_, err := b.tryPut("k", "one of eight", ifAbsent)
			outcomes <- err
		}()
	}
	var failures []error
	for range 8 {
		if err := <-outcomes; err != nil {
			failures = append(failures, err)
		}
	}
	require(len(failures) == 7, "%d of 8 puts succeeded", 8-len(failures))
	for _, err := range failures {
		refused(err, codes("PreconditionFailed", "ConditionalRequestConflict"))
	}
}

func putIfMatch(p *probe) {
	b := p.bucket()
	old := b.put("k", "old")
	match := func(in *s3.PutObjectInput) { in.IfMatch = &old }
	must(b.tryPut("k", "new", match))
	_, err := b.tryPut("k", "newer", match)
	refused(err, changed())
	require(b.get("k") == "new", "it holds %q", b.get("k"))
}

func putIfMatchAbsent(p *probe) {
	_, err := p.bucket().tryPut("k", "body", func(in *s3.PutObjectInput) { in.IfMatch = aws.String(`"5d41402abc4b2a76b9719d911017c592"`) })
	refused(err, codes("NoSuchKey"))
}

func getIfMatch(p *probe) {
	b := p.bucket()
	old := b.put("k", "old")
	match := func(in *s3.GetObjectInput) { in.IfMatch = &old }
	require(must(b.tryGet("k", match)) == "old", "something else was read")
	b.put("k", "new")
	_, err := b.tryGet("k", match)
	refused(err, changed())
}

func getIfNoneMatch(p *probe) {
	b := p.bucket()
	etag := b.put("k", "body")
	_, err := b.tryGet("k", func(in *s3.GetObjectInput) { in.IfNoneMatch = &etag })
	refused(err, codes("NotModified"))
}

func deleteIfMatch(p *probe) {
	b := p.bucket()
	old := b.put("k", "old")
	current := b.put("k", "new")
	_, err := b.client.DeleteObject(p.ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String("k"), IfMatch: &old})
	refused(err, changed())
	must(b.client.DeleteObject(p.ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String("k"), IfMatch: &current}))
	require(slices.Equal(b.keys(nil), nil), "left: %v", b.keys(nil))
}
