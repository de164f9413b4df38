package contract

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func bucketFacts() []Fact {
	return []Fact{
		{Name: "bucket-head", Sentence: "A HEAD tells whether there is a bucket", Source: "Amazon S3 API reference, HeadBucket", check: bucketHead},
		{Name: "bucket-delete", Sentence: "A bucket with objects is BucketNotEmpty; an empty one is deleted", Source: "Amazon S3 API reference, DeleteBucket", check: bucketDelete},
		{Name: "list-in-order", Sentence: "A listing is in the order of the keys' UTF-8, with size and ETag", Source: apiListObjects, check: listInOrder},
		{Name: "list-objects-pages", Sentence: "Pages of a listing give each key once", Source: apiListObjects, check: listObjectsPages},
		{Name: "list-prefix", Sentence: "A listing keeps to its prefix, and starts after a key if asked", Source: apiListObjects, check: listPrefix},
		{Name: "list-folders", Sentence: "A delimiter folds keys into common prefixes", Source: apiListObjects, check: listFolders},
		{Name: "lifecycle-kept", Sentence: "Lifecycle rules are given back as they were put", Source: "Amazon S3 API reference, PutBucketLifecycleConfiguration", check: lifecycleKept},
		{Name: "lifecycle-none", Sentence: "A bucket without lifecycle rules is NoSuchLifecycleConfiguration", Source: "Amazon S3 API reference, GetBucketLifecycleConfiguration", check: lifecycleNone},
		{Name: "notified-of-test", Sentence: "A queue that is to be notified gets an s3:TestEvent first", Source: s3Notifications, check: notifiedOfTest},
		{Name: "notified-of-put", Sentence: "A put is notified with bucket, URL-encoded key, size, ETag and sequencer", Source: s3Notifications, check: notifiedOfPut},
		{Name: "notified-of-delete", Sentence: "A deletion is notified as ObjectRemoved:Delete", Source: s3Notifications, check: notifiedOfDelete},
		{Name: "notified-of-suffix", Sentence: "A rule with prefix and suffix tells of such keys alone", Source: s3Notifications, check: notifiedOfSuffix},
		{Name: "notified-sequence", Sentence: "A later change of a key has the larger sequencer", Source: s3Notifications, check: notifiedSequence},
		{Name: "notification-needs-a-queue", Sentence: "A notification to a queue that there is not is InvalidArgument", Source: s3Notifications, check: notificationNeedsAQueue},
	}
}

func (b *bucket) headBucket() error {
	_, err := b.client.HeadBucket(b.ctx, &s3.HeadBucketInput{Bucket: &b.name})
	return err
}

func bucketHead(p *probe) {
	b := p.bucket()
	must(0, b.headBucket())
	b.name = p.name("none")
	refused(b.headBucket(), codes("NotFound"))
}

func bucketDelete(p *probe) {
	b := p.bucket()
	b.put("k", "")
	_, err := b.client.DeleteBucket(p.ctx, &s3.DeleteBucketInput{Bucket: &b.name})
	refused(err, codes("BucketNotEmpty"))
	must(b.deleteAll("k"))
	must(b.client.DeleteBucket(p.ctx, &s3.DeleteBucketInput{Bucket: &b.name}))
	refused(b.headBucket(), codes("NotFound"))
}

func listInOrder(p *probe) {
	b := p.bucket()
	for _, key := range []string{"é", "b", "a/1", "B", "a"} {
		b.put(key, "hello")
	}
	require(slices.Equal(b.keys(nil), []string{"B", "a", "a/1", "b", "é"}), "listed %v", b.keys(nil))
	first := must(b.client.ListObjectsV2(p.ctx, &s3.ListObjectsV2Input{Bucket: &b.name})).Contents[0]
	require(aws.ToInt64(first.Size) == 5 && aws.ToString(first.ETag) == `"5d41402abc4b2a76b9719d911017c592"`, "size %d, ETag %s", aws.ToInt64(first.Size), aws.ToString(first.ETag))
}

func listObjectsPages(p *probe) {
	b, keys := p.bucket(), numbered("k", 7)
	for _, key := range keys {
		b.put(key, "")
	}
	page := must(b.client.ListObjectsV2(p.ctx, &s3.ListObjectsV2Input{Bucket: &b.name, MaxKeys: aws.Int32(3)}))
	require(len(page.Contents) == 3 && aws.ToBool(page.IsTruncated) && page.NextContinuationToken != nil, "a page of 3 has %d", len(page.Contents))
	got := b.keys(func(in *s3.ListObjectsV2Input) { in.MaxKeys = aws.Int32(3) })
	require(slices.Equal(got, keys), "pages gave %v", got)
}

func listPrefix(p *probe) {
	b := p.bucket()
	for _, key := range []string{"a/1", "a/2", "a/3", "b/1"} {
		b.put(key, "")
	}
	got := b.keys(func(in *s3.ListObjectsV2Input) { in.Prefix, in.StartAfter = aws.String("a/"), aws.String("a/1") })
	require(slices.Equal(got, []string{"a/2", "a/3"}), "listed %v", got)
}

func listFolders(p *probe) {
	b := p.bucket()
	for _, key := range []string{"a/1", "a/2", "b/1", "c"} {
		b.put(key, "")
	}
	out := must(b.client.ListObjectsV2(p.ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Delimiter: aws.String("/")}))
	var folders []string
	for _, f := range out.CommonPrefixes {
		folders = append(folders, aws.ToString(f.Prefix))
	}
	require(slices.Equal(folders, []string{"a/", "b/"}) && len(out.Contents) == 1, "folders %v and %d keys", folders, len(out.Contents))
}

func lifecycleKept(p *probe) {
	b := p.bucket()
	must(b.client.PutBucketLifecycleConfiguration(p.ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &b.name, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{{
			ID: aws.String("outputs"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("outputs/")},
			Expiration: &types.LifecycleExpiration{Days: aws.Int32(34)},
		}}},
	}))
	rules := must(b.client.GetBucketLifecycleConfiguration(p.ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b.name})).Rules
	require(len(rules) == 1 && aws.ToString(rules[0].ID) == "outputs" && rules[0].Filter != nil && aws.ToString(rules[0].Filter.Prefix) == "outputs/" &&
		rules[0].Expiration != nil && aws.ToInt32(rules[0].Expiration.Days) == 34, "rules %+v", rules)
}

func lifecycleNone(p *probe) {
	b := p.bucket()
	_, err := b.client.GetBucketLifecycleConfiguration(p.ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &b.name})
	refused(err, codes("NoSuchLifecycleConfiguration"))
}

// notify sends the bucket's changes to a queue.
func (b *bucket) notify(arn string, rules ...types.FilterRule) error {
	queue := types.QueueConfiguration{QueueArn: &arn, Events: []types.Event{"s3:ObjectCreated:*", "s3:ObjectRemoved:*"}}
	if len(rules) > 0 {
		queue.Filter = &types.NotificationConfigurationFilter{Key: &types.S3KeyFilter{FilterRules: rules}}
	}
	_, err := b.client.PutBucketNotificationConfiguration(b.ctx, &s3.PutBucketNotificationConfigurationInput{
		Bucket: &b.name, NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{queue}},
	})
	return err
}

// news is one record of a notification.
type news struct {
	EventName string `json:"eventName"`
	S3        struct {
		Bucket struct{ Name string }
		Object struct {
			Key, Sequencer, ETag string
			Size                 int
		}
	}
}

// told receives what the queue is told until there are so many records, without test events.
func (q *queue) told(count int) []news {
	var all []news
	q.eventually("notifications come", func() bool {
		for _, m := range q.receive(1, 600) {
			var body struct{ Records []news }
			must(0, json.Unmarshal([]byte(aws.ToString(m.Body)), &body))
			all = append(all, body.Records...)
		}
		return len(all) >= count
	})
	return all
}

func notifiedOfTest(p *probe) {
	b, q := p.bucket(), p.queue()
	must(0, b.notify(q.attribute("QueueArn")))
	body := aws.ToString(q.one(600).Body)
	require(strings.Contains(body, `"s3:TestEvent"`) && strings.Contains(body, b.name), "the queue was told %s", body)
}

func notifiedOfPut(p *probe) {
	b, q := p.bucket(), p.queue()
	must(0, b.notify(q.attribute("QueueArn")))
	etag := b.put("outputs/a b+c.csv", "hello")
	r := q.told(1)[0]
	require(r.EventName == "ObjectCreated:Put" && r.S3.Bucket.Name == b.name && r.S3.Object.Key == "outputs/a+b%2Bc.csv", "it is %s of %s in %s", r.EventName, r.S3.Object.Key, r.S3.Bucket.Name)
	require(r.S3.Object.Size == 5 && r.S3.Object.ETag == strings.Trim(etag, `"`) && r.S3.Object.Sequencer != "",
		"size %d, ETag %s, sequencer %s", r.S3.Object.Size, r.S3.Object.ETag, r.S3.Object.Sequencer)
}

func notifiedOfDelete(p *probe) {
	b, q := p.bucket(), p.queue()
	b.put("k", "")
	must(0, b.notify(q.attribute("QueueArn")))
	must(b.client.DeleteObject(p.ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: aws.String("k")}))
	r := q.told(1)[0]
	require(r.EventName == "ObjectRemoved:Delete" && r.S3.Object.Key == "k", "it is %s of %s", r.EventName, r.S3.Object.Key)
}

func notifiedOfSuffix(p *probe) {
	b, q := p.bucket(), p.queue()
	must(0, b.notify(q.attribute("QueueArn"),
		types.FilterRule{Name: types.FilterRuleNamePrefix, Value: aws.String("outputs/")},
		types.FilterRule{Name: types.FilterRuleNameSuffix, Value: aws.String("_manifest.json")}))
	b.put("outputs/1/data.csv", "")
	b.put("other/_manifest.json", "")
	b.put("outputs/1/_manifest.json", "")
	told := q.told(1)
	require(len(told) == 1 && told[0].S3.Object.Key == "outputs/1/_manifest.json", "the queue was told %+v", told)
}

func notifiedSequence(p *probe) {
	b, q := p.bucket(), p.queue()
	must(0, b.notify(q.attribute("QueueArn")))
	sequence := map[string]string{} // by ETag
	first, second := b.put("k", "first"), b.put("k", "second")
	for _, r := range q.told(2) {
		s := r.S3.Object.Sequencer
		sequence[`"`+r.S3.Object.ETag+`"`] = strings.Repeat("0", 40-min(40, len(s))) + s
	}
	require(sequence[first] < sequence[second], "sequencers %s and then %s", sequence[first], sequence[second])
}

func notificationNeedsAQueue(p *probe) {
	refused(p.bucket().notify("arn:aws:sqs:us-east-1:000000000000:"+p.name("none")), codes("InvalidArgument"))
}
