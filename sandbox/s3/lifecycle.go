package s3

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// lifecycleConfiguration is the XML of PutBucketLifecycleConfiguration, as far as it is kept: expiration after days.
type lifecycleConfiguration struct {
	XMLName xml.Name        `xml:"LifecycleConfiguration"`
	Rules   []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID     string `xml:"ID,omitempty"`
	Status string `xml:"Status"`
	Filter *struct {
		Prefix string `xml:"Prefix"`
	} `xml:"Filter,omitempty"`
	Prefix     string `xml:"Prefix,omitempty"` // the older place of Filter's
	Expiration *struct {
		Days int `xml:"Days"`
	} `xml:"Expiration,omitempty"`
	Abort *struct {
		Days int `xml:"DaysAfterInitiation"`
	} `xml:"AbortIncompleteMultipartUpload,omitempty"` // kept, and without effect
}

func (r lifecycleRule) prefix() string {
	if r.Filter != nil {
		return r.Filter.Prefix
	}
	return r.Prefix
}

// expires is when an object expires by the rule: its days after creation, rounded up to midnight UTC ("Lifecycle
// configuration elements").
func (r lifecycleRule) expires(o *object) (time.Time, bool) {
	if r.Status != "Enabled" || r.Expiration == nil || !strings.HasPrefix(o.key, r.prefix()) {
		return time.Time{}, false
	}
	const day = 24 * time.Hour
	at := o.modified.Add(time.Duration(r.Expiration.Days) * day)
	if midnight := at.Truncate(day); midnight.Before(at) {
		return midnight.Add(day), true
	}
	return at, true
}

func (s *Server) serveLifecycle(bucketName string, w http.ResponseWriter, r *http.Request) error {
	b, err := s.store.bucket(bucketName)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		b.mu.RLock()
		defer b.mu.RUnlock()
		if len(b.lifecycle) == 0 {
			return gofakes3.ErrorMessage("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
		}
		s.writeXML(w, http.StatusOK, lifecycleConfiguration{Rules: b.lifecycle})
		return nil
	case http.MethodPut:
		body, err := readUpload(w, r)
		if err != nil {
			return err
		}
		var given lifecycleConfiguration
		if err := xml.Unmarshal(body, &given); err != nil {
			return gofakes3.ErrorMessage(gofakes3.ErrMalformedXML, err.Error())
		}
		for _, rule := range given.Rules {
			if rule.Expiration != nil && rule.Expiration.Days < 1 || rule.Status != "Enabled" && rule.Status != "Disabled" {
				return gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, "a rule needs a status, and expiration days of at least 1")
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lifecycle = given.Rules
		return nil
	case http.MethodDelete:
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lifecycle = nil
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return gofakes3.ErrMethodNotAllowed
	}
}

// sweepEvery is how often expired objects are looked for.
const sweepEvery = time.Minute

// Run deletes expired objects until ctx ends, and then returns nil. Without it nothing expires.
func (s *Server) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			for _, b := range s.store.all() {
				s.expire(b, now.Add(-time.Duration(s.Habits().LifecycleDelay)))
			}
		}
	}
}

// expire deletes what had expired at a time.
func (s *Server) expire(b *bucket, at time.Time) {
	b.mu.RLock()
	rules := slices.Clone(b.lifecycle)
	var due []*object
	if len(rules) > 0 {
		for _, o := range b.objects {
			if slices.ContainsFunc(rules, func(r lifecycleRule) bool {
				when, applies := r.expires(o)
				return applies && !when.After(at)
			}) {
				due = append(due, o)
			}
		}
	}
	b.mu.RUnlock()
	for _, o := range due {
		done, err := b.remove(o.key, conditions{ifMatch: o.etag}, &s.store.sequencer)
		if err == nil && done.object != nil {
			done.event = "LifecycleExpiration:Delete"
			s.notify(done)
		}
	}
}
