package cache

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"spate/job"
)

// What the bucket must tell of. That the lifecycle removes outputs need not be told: the ledger forgets them before.
const (
	eventCreated = "s3:ObjectCreated:*"
	eventRemoved = "s3:ObjectRemoved:*"
)

// judgeNotifications looks at whether a bucket tells the updater's queue of the manifests that come and go. Of topics and
// of EventBridge it believes that they lead to the queue, as they do not tell.
func judgeNotifications(bucket, queue string, c *s3.GetBucketNotificationConfigurationOutput) []Finding {
	if c.EventBridgeConfiguration != nil {
		return nil
	}
	var routes []notificationRoute
	elsewhere := ""
	for _, q := range c.QueueConfigurations {
		if aws.ToString(q.QueueArn) != queue {
			elsewhere = aws.ToString(q.QueueArn)
			continue
		}
		routes = append(routes, routeOf(q.Events, q.Filter))
	}
	for _, t := range c.TopicConfigurations {
		routes = append(routes, routeOf(t.Events, t.Filter))
	}
	created := tells(routes, "s3:ObjectCreated:Put")
	removed := tells(routes, "s3:ObjectRemoved:Delete") || tells(routes, "s3:ObjectRemoved:DeleteMarkerCreated")
	f := Finding{Check: CheckNotifications, Severity: SeverityWarning}
	switch {
	case created && removed:
		return nil
	case created:
		f.Text = "is not told of all outputs that are deleted: they count as cached until a run looks for them, and has to compute them late."
	case removed:
		f.Text = "is not told of all new outputs: they count as cached hours later, when the bucket is listed, and their jobs run again until then."
	default:
		f.Text = "is not told of all outputs that are made and deleted: new ones count as cached hours later, when the bucket is listed, and deleted ones until a run looks for them."
	}
	f.Text = fmt.Sprintf("Queue %s %s", nameOf(queue), f.Text)
	if elsewhere != "" && len(routes) == 0 {
		f.Text += fmt.Sprintf(" Bucket %s tells queue %s.", bucket, nameOf(elsewhere))
	}
	f.Fix = fmt.Sprintf("Have bucket %s tell it of %s and %s with the prefix %s: `aws s3api get-bucket-notification-configuration --bucket %[1]s` shows what it tells whom.",
		bucket, eventCreated, eventRemoved, outputsPrefix)
	if len(c.QueueConfigurations)+len(c.TopicConfigurations)+len(c.LambdaFunctionConfigurations) == 0 { // else the command would replace them
		f.Fix = fmt.Sprintf("To mend it: `aws s3api put-bucket-notification-configuration --bucket %s --notification-configuration "+
			`'{"QueueConfigurations":[{"Id":"outputs","QueueArn":"%s","Events":["%s","%s"],"Filter":{"Key":{"FilterRules":[{"Name":"prefix","Value":"%s"}]}}}]}'`+"`",
			bucket, queue, eventCreated, eventRemoved, outputsPrefix)
	}
	return []Finding{f}
}

// nameOf is the last part of an ARN.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

// notificationRoute is what a bucket tells one queue or topic of.
type notificationRoute struct {
	events         []s3types.Event
	prefix, suffix string
}

func routeOf(events []s3types.Event, filter *s3types.NotificationConfigurationFilter) notificationRoute {
	r := notificationRoute{events: events}
	if filter == nil || filter.Key == nil {
		return r
	}
	for _, rule := range filter.Key.FilterRules {
		switch strings.ToLower(string(rule.Name)) { // S3 answers with Prefix where prefix was given
		case "prefix":
			r.prefix = aws.ToString(rule.Value)
		case "suffix":
			r.suffix = aws.ToString(rule.Value)
		}
	}
	return r
}

// tells reports whether the routes together tell of an event of every manifest: of two that differ early in their names, below
// each of the prefixes under which outputs lie.
func tells(routes []notificationRoute, event string) bool {
	for prefix := range prefixes {
		for _, key := range []job.Key{{byte(prefix)}, {byte(prefix), 0xff}} {
			path := job.ManifestPath(key)
			if !slices.ContainsFunc(routes, func(r notificationRoute) bool {
				return strings.HasPrefix(path, r.prefix) && strings.HasSuffix(path, r.suffix) && slices.ContainsFunc(r.events, func(e s3types.Event) bool {
					kind, all := strings.CutSuffix(string(e), "*")
					return string(e) == event || all && strings.HasPrefix(event, kind)
				})
			}) {
				return false
			}
		}
	}
	return true
}

// quietFor is how much later than the last notification a listing must have found outputs before they prove something:
// younger ones are left to their notifications.
const quietFor = 10 * time.Minute

// judgeDelivery looks at whether notifications come: a listing has found outputs of which none came, long after the last
// that did. since is when the process began. It says no number, so that the same finding keeps its words.
func judgeDelivery(bucket string, since time.Time, u UpdaterStatus, r ReconcileStatus) []Finding {
	last, told := since, fmt.Sprintf("and none has come since %s, when this controller began to lead", moment(since))
	if u.LastHandled.After(since) {
		last, told = u.LastHandled, "the last one that did was handled "+moment(u.LastHandled)
	}
	if r.LedgerLacked.Sub(last) < quietFor {
		return nil
	}
	return []Finding{{
		CheckNotifications, SeverityWarning, fmt.Sprintf("Outputs were found by listing bucket %s of which no notification came; %s.", bucket, told),
		fmt.Sprintf("If the ledger was not lost or restored, and cache.retention not made longer, notifications do not reach the queue: compare `aws s3api get-bucket-notification-configuration --bucket %s` "+
			"with it, and see that the queue's policy lets S3 send. `spate cache rebuild --from-s3` finds all such outputs now.", bucket),
	}}
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
