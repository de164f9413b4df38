package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestTheBucketIsToTellTheQueueOfManifestsThatComeAndGo(t *testing.T) {
	const ours, other = "arn:aws:sqs:eu-west-1:1:outputs-created", "arn:aws:sqs:eu-west-1:1:audit"
	filter := func(prefix, suffix string) *s3types.NotificationConfigurationFilter {
		// S3 answers with capital letters, whatever was put.
		return &s3types.NotificationConfigurationFilter{Key: &s3types.S3KeyFilter{FilterRules: []s3types.FilterRule{{Name: "Prefix", Value: &prefix}, {Name: "Suffix", Value: &suffix}}}}
	}
	to := func(queue string, f *s3types.NotificationConfigurationFilter, events ...s3types.Event) s3types.QueueConfiguration {
		return s3types.QueueConfiguration{QueueArn: &queue, Filter: f, Events: events}
	}
	queues := func(q ...s3types.QueueConfiguration) s3.GetBucketNotificationConfigurationOutput {
		return s3.GetBucketNotificationConfigurationOutput{QueueConfigurations: q}
	}
	both := []s3types.Event{"s3:ObjectCreated:*", "s3:ObjectRemoved:*"}
	below := func(format string) (q []s3types.QueueConfiguration) {
		for first := range prefixes {
			q = append(q, to(ours, filter(fmt.Sprintf(format, first), ""), both...))
		}
		return q
	}
	topic := "arn:aws:sns:eu-west-1:1:changes"
	for _, row := range []struct {
		name   string
		config s3.GetBucketNotificationConfigurationOutput
		says   string // "": nothing is found
	}{
		{"of manifests", queues(to(ours, filter("outputs/", "/_manifest.json"), both...)), ""},
		{"of everything", queues(to(ours, nil, both...)), ""},
		{"of just those events", queues(to(ours, nil, "s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete")), ""},
		{"of a bucket with versions", queues(to(ours, nil, "s3:ObjectCreated:*", "s3:ObjectRemoved:DeleteMarkerCreated")), ""},
		{"by one rule each", queues(to(ours, nil, both[0]), to(ours, nil, both[1])), ""},
		{"by rules that share the outputs", queues(below("outputs/%02x/")...), ""},
		{"by a topic", s3.GetBucketNotificationConfigurationOutput{TopicConfigurations: []s3types.TopicConfiguration{{TopicArn: &topic, Events: both}}}, ""},
		{"by EventBridge", s3.GetBucketNotificationConfigurationOutput{EventBridgeConfiguration: &s3types.EventBridgeConfiguration{}}, ""},

		{"of nothing", queues(), "`aws s3api put-bucket-notification-configuration --bucket data --notification-configuration '{\"QueueConfigurations\":[{\"Id\":\"outputs\",\"QueueArn\":\"" + ours + `"`},
		{"another queue", queues(to(other, nil, both...)), "Bucket data tells queue audit. Have bucket data tell it"},
		{"of new ones only", queues(to(ours, nil, both[0])), "Queue outputs-created is not told of all outputs that are deleted"},
		{"of deleted ones only", queues(to(ours, nil, both[1])), "is not told of all new outputs"},
		{"of uploads in parts only", queues(to(ours, nil, "s3:ObjectCreated:CompleteMultipartUpload", both[1])), "is not told of all new outputs"},
		{"of something else", queues(to(ours, filter("runs/", ""), both...)), "of all outputs that are made and deleted"},
		{"of files of another name", queues(to(ours, filter("outputs/", ".csv"), both...)), "of all outputs that are made and deleted"},
		{"of most outputs", queues(below("outputs/%02x/")[1:]...), "of all outputs that are made and deleted"},
		{"of some below each prefix", queues(below("outputs/%02[1]x/%02[1]x00")...), "of all outputs that are made and deleted"},
	} {
		t.Run(row.name, func(t *testing.T) {
			found := judgeNotifications("data", ours, &row.config)
			switch {
			case row.says == "" && len(found) > 0:
				t.Errorf("found %v", found)
			case row.says != "" && (len(found) != 1 || found[0].Severity != SeverityWarning || !strings.Contains(found[0].String(), row.says) || found[0].Fix == ""):
				t.Errorf("found %v, want …%s…", found, row.says)
			}
		})
	}
}

func TestOutputsThatOnlyListingFindsShowThatNotificationsDoNotCome(t *testing.T) {
	since := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name            string
		handled, lacked time.Time
		says            string // "": nothing is found
	}{
		{"none was found", since.Add(time.Hour), time.Time{}, ""},
		{"none was found, and none came", time.Time{}, time.Time{}, ""},
		{"one was lost among others", since.Add(time.Hour), since.Add(time.Hour + 9*time.Minute), ""},
		{"they come again", since.Add(9 * time.Hour), since.Add(time.Hour), ""},
		{"they came until then", since.Add(time.Hour), since.Add(3 * time.Hour), "the last one that did was handled 2026-11-21 04:00 UTC"},
		{"none ever came", time.Time{}, since.Add(3 * time.Hour), "none has come since 2026-11-21 03:00 UTC, when this controller began to lead"},
	} {
		t.Run(row.name, func(t *testing.T) {
			found := judgeDelivery("data", since, UpdaterStatus{LastHandled: row.handled}, ReconcileStatus{LedgerLacked: row.lacked})
			switch {
			case row.says == "" && len(found) > 0:
				t.Errorf("found %v", found)
			case row.says != "" && (len(found) != 1 || found[0].Check != CheckNotifications || found[0].IsNote() || !strings.Contains(found[0].String(), row.says)):
				t.Errorf("found %v, want …%s…", found, row.says)
			}
		})
	}
}
