package cache

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"spate/job"
)

func s3Body(event, bucket, object string) string {
	return fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventTime":"2026-11-21T09:30:00.125Z","eventName":%q,"s3":{"bucket":{"name":%q},"object":{"key":%q,"size":7}}}]}`,
		event, bucket, url.QueryEscape(object))
}

// sequenced gives a change a sequencer.
func sequenced(body string, sequencer string) string {
	return strings.Replace(body, `"size":7`, `"size":7,"sequencer":"`+sequencer+`"`, 1)
}

func createdBody(object string) string { return s3Body("ObjectCreated:Put", testBucket, object) }
func removedBody(object string) string { return s3Body("ObjectRemoved:Delete", testBucket, object) }

func snsBody(message string) string {
	quoted, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return `{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:us-east-1:0:t","Message":` + string(quoted) + `}`
}

func eventBridgeBody(detailType, object string) string {
	return fmt.Sprintf(`{"version":"0","detail-type":%q,"source":"aws.s3","time":"2026-11-21T09:30:00.125Z","detail":{"bucket":{"name":%q},"object":{"key":%q}}}`, detailType, testBucket, object)
}

func TestNotificationsAreReadInTheThreeWaysTheyCome(t *testing.T) {
	k := testKey(1)
	manifest := job.ManifestPath(k)
	changed := func(sequencer string) Notification {
		return Notification{Changes: []Change{{Key: k, Sequencer: sequencer, At: time.Date(2026, 11, 21, 9, 30, 0, 125e6, time.UTC)}}}
	}
	ours, foreign, nothing := changed(""), Notification{Foreign: 1}, Notification{}
	for _, row := range []struct {
		name, body string
		want       Notification
	}{
		{"put", createdBody(manifest), ours},
		{"copied", s3Body("ObjectCreated:Copy", testBucket, manifest), ours},
		{"with the prefix that only configurations have", s3Body("s3:ObjectCreated:Put", testBucket, manifest), ours},
		{"removed", removedBody(manifest), ours},
		{"expired by lifecycle", s3Body("LifecycleExpiration:Delete", testBucket, manifest), ours},
		{"with a sequencer", sequenced(createdBody(manifest), "0055aed6dcd90281e5"), changed("0055AED6DCD90281E5")},
		{"with a sequencer, through SNS", snsBody(sequenced(createdBody(manifest), "0A")), changed("0A")},
		{"with a sequencer, through EventBridge", strings.Replace(eventBridgeBody("Object Created", manifest), `_manifest.json"`, `_manifest.json","sequencer":"0A"`, 1), changed("0A")},
		{"with a sequencer that is no number", sequenced(createdBody(manifest), "0A-1"), changed("")},
		{"with a sequencer of no sensible length", sequenced(createdBody(manifest), strings.Repeat("A", 100)), changed("")},
		{"through SNS", snsBody(createdBody(manifest)), ours},
		{"through EventBridge", eventBridgeBody("Object Created", manifest), ours},
		{"deleted, through EventBridge", eventBridgeBody("Object Deleted", manifest), ours},
		{"tagged, through EventBridge", eventBridgeBody("Object Tags Added", manifest), foreign},
		{"another bucket, through EventBridge", strings.Replace(eventBridgeBody("Object Created", manifest), testBucket, "other", 1), foreign},
		{"another bucket", s3Body("ObjectCreated:Put", "other", manifest), foreign},
		{"an output's file", createdBody(job.AttemptPrefix(k, "a") + "losses 1.csv"), foreign},
		{"a manifest elsewhere", createdBody("copy/" + manifest), foreign},
		{"restored", s3Body("ObjectRestore:Completed", testBucket, manifest), foreign},
		{"test event", `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"data"}`, nothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseNotification(row.body, testBucket)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessagesThatAreNoNotificationAreErrors(t *testing.T) {
	for _, body := range []string{
		"", "{}", "null", "[]", "hello", `{"Records":[]}`, `{"Records":[{}]}`, `{"Records":7}`, snsBody("hello"),
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"data"},"object":{"key":"%zz"}}}]}`,
		snsBody(snsBody(createdBody("x"))),
	} {
		if n, err := ParseNotification(body, testBucket); err == nil {
			t.Errorf("%s is taken for %+v", body, n)
		}
	}
}

func FuzzParseNotification(f *testing.F) {
	manifest := job.ManifestPath(testKey(1))
	for _, body := range []string{
		createdBody(manifest), removedBody(manifest), snsBody(createdBody(manifest)), eventBridgeBody("Object Created", manifest), `{"Event":"s3:TestEvent"}`, `{"Records":[{}]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		n, err := ParseNotification(body, testBucket)
		if err != nil && (len(n.Changes) > 0 || n.Foreign > 0) {
			t.Fatalf("an error and a result: %+v", n)
		}
		for _, c := range n.Changes { // whatever was read must read the same again
			again, err := ParseNotification(s3Body("ObjectCreated:Put", testBucket, job.ManifestPath(c.Key)), testBucket)
			if err != nil || len(again.Changes) != 1 || again.Changes[0].Key != c.Key {
				t.Fatalf("key %s: %+v, %v", c.Key, again, err)
			}
			if compareSequencers(c.Sequencer, c.Sequencer) != 0 || compareSequencers(c.Sequencer, c.Sequencer+"1") >= 0 {
				t.Fatalf("sequencer %q", c.Sequencer)
			}
		}
	})
}
