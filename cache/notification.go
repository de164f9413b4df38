package cache

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"spate/job"
)

// Notification is what a message of the outputs queue says: which outputs to look at. What became of them is for S3 to
// tell.
type Notification struct {
	Changes []Change // of manifests; keys may repeat
	Foreign int      // changes of other objects or buckets
}

// Change says that an output's manifest was written or removed.
type Change struct {
	Key       job.Key
	Sequencer string    // orders the changes of one key ([compareSequencers]); empty when S3 gave none
	At        time.Time // when it happened; zero when S3 did not say
}

// s3Event is what S3 sends to a queue, or to a topic that wraps it.
type s3Event struct {
	Records []s3Record `json:"Records"`
	Event   string     `json:"Event"` // s3:TestEvent, when a bucket is configured
}

type s3Record struct {
	EventName string `json:"eventName"` // ObjectCreated:Put
	EventTime string `json:"eventTime"` // RFC 3339
	S3        struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"` // URL-encoded
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"s3"`
}

// envelope tells the three ways apart by which S3 can reach a queue.
type envelope struct {
	s3Event
	// Amazon SNS, without raw message delivery
	Type    string `json:"Type"`
	Message string `json:"Message"`
	// Amazon EventBridge
	Source     string `json:"source"`
	Time       string `json:"time"` // RFC 3339
	DetailType string `json:"detail-type"`
	Detail     struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"` // as it is
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"detail"`
}

// testEvent is what S3 sends to a queue when the bucket's configuration names it.
const testEvent = "s3:TestEvent"

// ParseNotification reads a message that S3 sent directly, through SNS or through EventBridge. Changes of other buckets
// and of objects that are no manifest are counted and otherwise ignored. A message of another kind is an error.
func ParseNotification(body, bucket string) (Notification, error) {
	e, err := parseEnvelope(body)
	if err == nil && e.Type == "Notification" && e.Message != "" {
		e, err = parseEnvelope(e.Message)
	}
	if err != nil {
		return Notification{}, fmt.Errorf("parse notification: %w", err)
	}
	var n Notification
	switch {
	case e.Event == testEvent:
	case e.Source == "aws.s3":
		if e.DetailType != "Object Created" && e.DetailType != "Object Deleted" {
			n.Foreign++
			break
		}
		n.note(e.Detail.Bucket.Name == bucket, e.Detail.Object.Key, e.Detail.Object.Sequencer, e.Time)
	case len(e.Records) > 0:
		for _, r := range e.Records {
			if err := n.record(r, bucket); err != nil {
				return Notification{}, fmt.Errorf("parse notification: %w", err)
			}
		}
	default:
		return Notification{}, errors.New("parse notification: neither S3's nor SNS's nor EventBridge's")
	}
	return n, nil
}

func parseEnvelope(body string) (envelope, error) {
	var e envelope
	err := json.Unmarshal([]byte(body), &e, jsontext.AllowDuplicateNames(true))
	return e, err
}

func (n *Notification) record(r s3Record, bucket string) error {
	kind, _, _ := strings.Cut(strings.TrimPrefix(r.EventName, "s3:"), ":")
	switch kind {
	case "ObjectCreated", "ObjectRemoved", "LifecycleExpiration":
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil {
			return fmt.Errorf("object key %q: %w", r.S3.Object.Key, err)
		}
		n.note(r.S3.Bucket.Name == bucket, key, r.S3.Object.Sequencer, r.EventTime)
	case "":
		return errors.New("a record has no event name")
	default:
		n.Foreign++ // restores, tags, replication: the object is there as before
	}
	return nil
}

func (n *Notification) note(ours bool, object, sequencer, at string) {
	key, manifest := job.ParseManifestPath(object)
	if !ours || !manifest {
		n.Foreign++
		return
	}
	c := Change{Key: key}
	if sequencer = strings.ToUpper(sequencer); len(sequencer) <= maxSequencer && strings.Trim(sequencer, "0123456789ABCDEF") == "" {
		c.Sequencer = sequencer
	}
	if when, err := time.Parse(time.RFC3339Nano, at); err == nil {
		c.At = when
	}
	n.Changes = append(n.Changes, c)
}
