package s3

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// notificationConfiguration is the XML of PutBucketNotificationConfiguration.
type notificationConfiguration struct {
	XMLName xml.Name `xml:"NotificationConfiguration"`
	Queues  []rule   `xml:"QueueConfiguration"`
	Topics  []struct {
		Topic string `xml:"Topic"`
	} `xml:"TopicConfiguration"`
	Functions []struct {
		Function string `xml:"CloudFunction"`
	} `xml:"CloudFunctionConfiguration"`
}

// rule sends some changes of a bucket to one queue.
type rule struct {
	ID      string   `xml:"Id"`
	Queue   string   `xml:"Queue"` // ARN
	Events  []string `xml:"Event"`
	Filters []filter `xml:"Filter>S3Key>FilterRule"`
}

// filter restricts a rule to keys with a prefix or a suffix.
type filter struct {
	Name  string `xml:"Name"`
	Value string `xml:"Value"`
}

// matches says whether the rule wants an event such as ObjectCreated:Put.
func (r rule) matches(event, key string) bool {
	for _, f := range r.Filters {
		switch strings.ToLower(f.Name) {
		case "prefix":
			if !strings.HasPrefix(key, f.Value) {
				return false
			}
		case "suffix":
			if !strings.HasSuffix(key, f.Value) {
				return false
			}
		}
	}
	for _, wanted := range r.Events {
		wanted = strings.TrimPrefix(wanted, "s3:")
		kind, isKind := strings.CutSuffix(wanted, "*")
		if wanted == event || isKind && strings.HasPrefix(event, kind) {
			return true
		}
	}
	return false
}

func (s *Server) serveNotification(bucketName string, w http.ResponseWriter, r *http.Request) error {
	b, err := s.store.bucket(bucketName)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		b.mu.RLock()
		defer b.mu.RUnlock()
		s.writeXML(w, http.StatusOK, notificationConfiguration{Queues: b.rules})
		return nil
	case http.MethodPut:
		var given notificationConfiguration
		if err := xml.NewDecoder(r.Body).Decode(&given); err != nil {
			return gofakes3.ErrorMessage(gofakes3.ErrMalformedXML, err.Error())
		}
		return s.configure(b, given)
	default:
		return gofakes3.ErrMethodNotAllowed
	}
}

// configure replaces a bucket's rules. Like AWS it sends each queue a test event
// first, which also shows that the queue exists.
func (s *Server) configure(b *bucket, given notificationConfiguration) error {
	if len(given.Topics)+len(given.Functions) > 0 {
		return gofakes3.ErrorMessage(gofakes3.ErrNotImplemented, "the sandbox sends notifications to SQS queues only")
	}
	for i := range given.Queues {
		r := &given.Queues[i]
		if s.options.Queues == nil || !s.options.Queues.HasQueue(r.Queue) {
			return gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, "Unable to validate the following destination configurations")
		}
		for _, event := range r.Events {
			if !strings.HasPrefix(event, "s3:ObjectCreated:") && !strings.HasPrefix(event, "s3:ObjectRemoved:") && !strings.HasPrefix(event, "s3:LifecycleExpiration:") {
				return gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, fmt.Sprintf("The event %q is not supported for notifications", event))
			}
		}
		if r.ID == "" {
			r.ID = fmt.Sprintf("sandbox-%d", i+1)
		}
	}
	for _, r := range given.Queues {
		body, err := json.Marshal(testEvent{
			Service: "Amazon S3", Event: "s3:TestEvent", Time: eventTime(time.Now()), Bucket: b.name,
			RequestID: "0000000000000000", HostID: "sandbox",
		})
		if err != nil {
			return fmt.Errorf("marshal test event: %w", err)
		}
		if err := s.options.Queues.Push(r.Queue, string(body)); err != nil {
			return gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, "Unable to validate the following destination configurations")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = given.Queues
	return nil
}

type testEvent struct {
	Service   string `json:"Service"`
	Event     string `json:"Event"`
	Time      string `json:"Time"`
	Bucket    string `json:"Bucket"`
	RequestID string `json:"RequestId"`
	HostID    string `json:"HostId"`
}

// event is the body of a notification, version 2.1, as the S3 user guide gives
// it.
type event struct {
	Records []record `json:"Records"`
}

type record struct {
	EventVersion string       `json:"eventVersion"`
	EventSource  string       `json:"eventSource"`
	AWSRegion    string       `json:"awsRegion"`
	EventTime    string       `json:"eventTime"`
	EventName    string       `json:"eventName"`
	S3           recordEntity `json:"s3"`
}

type recordEntity struct {
	SchemaVersion   string       `json:"s3SchemaVersion"`
	ConfigurationID string       `json:"configurationId"`
	Bucket          recordBucket `json:"bucket"`
	Object          recordObject `json:"object"`
}

type recordBucket struct {
	Name string `json:"name"`
	ARN  string `json:"arn"`
}

type recordObject struct {
	Key       string `json:"key"` // URL-encoded
	Size      *int   `json:"size,omitempty"`
	ETag      string `json:"eTag,omitempty"`
	Sequencer string `json:"sequencer"`
}

// notify tells the queues whose rules want it of one change.
func (s *Server) notify(c change) {
	for _, r := range c.rules {
		if !r.matches(c.event, c.object.key) {
			continue
		}
		body, err := json.Marshal(event{Records: []record{s.record(c, r)}})
		if err != nil {
			s.options.Log.Error().Err(err).Str("bucket", c.bucket.name).Str("key", c.object.key).Msg("marshal bucket notification")
			continue
		}
		s.deliver(r.Queue, "/"+c.bucket.name+"/"+c.object.key, string(body))
	}
}

func (s *Server) record(c change, r rule) record {
	o := recordObject{
		Key:       strings.ReplaceAll(url.QueryEscape(c.object.key), "%2F", "/"),
		Sequencer: fmt.Sprintf("%016X", c.sequencer),
	}
	if strings.HasPrefix(c.event, "ObjectCreated:") {
		size := len(c.object.body)
		o.Size, o.ETag = &size, c.object.etag
	}
	return record{
		EventVersion: "2.1", EventSource: "aws:s3", AWSRegion: s.options.Region,
		EventTime: eventTime(c.at), EventName: c.event,
		S3: recordEntity{
			SchemaVersion: "1.0", ConfigurationID: r.ID,
			Bucket: recordBucket{Name: c.bucket.name, ARN: "arn:aws:s3:::" + c.bucket.name},
			Object: o,
		},
	}
}

func eventTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
