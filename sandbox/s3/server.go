package s3

import (
	"cmp"
	"encoding/xml"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/rs/zerolog"

	"spate/sandbox/fault"
)

// Options connect the buckets with what is around them.
type Options struct {
	// Region appears in notifications.
	Region string
	// Queues receive bucket notifications; nil refuses their configuration.
	Queues Queues
	// Habits are those of the buckets; Seed repeats what they leave to chance.
	Habits Habits
	Seed   uint64
	// Faults are asked about notifications; nil: there are none.
	Faults *fault.Injector
	// Log receives unknown requests and undelivered notifications.
	Log zerolog.Logger
}

// Queues are the queues that notifications can go to.
type Queues interface {
	// HasQueue says whether there is a queue of this ARN.
	HasQueue(arn string) bool
	// Push sends a body to the queue of this ARN. It is called concurrently and
	// must not block; it fails when the queue is gone.
	Push(arn, body string) error
}

// Server is an http.Handler for path-style S3 requests; its Run lets objects expire.
type Server struct {
	options Options
	store   *store
	library http.Handler
	chance  *chance
}

// New makes a server without buckets.
func New(options Options) *Server {
	s := &Server{options: options, chance: &chance{
		habits: options.Habits, random: rand.New(rand.NewPCG(options.Seed, 0)), prefixes: map[string]*traffic{},
	}}
	s.store = newStore(s.notify, func() bool { return s.Habits().KMS })
	s.library = gofakes3.New(s.store,
		gofakes3.WithTimeSkewLimit(0),
		gofakes3.WithoutVersioning(),
	).Server()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.serve(w, r); err != nil {
		s.writeError(w, r, err)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	bucketName, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	if unserved := unservedPart(query); unserved != "" {
		s.options.Log.Warn().Str("method", r.Method).Str("path", r.URL.Path).Str("subresource", unserved).
			Msg("S3 request is not implemented by the sandbox")
		return gofakes3.ErrorMessage(gofakes3.ErrNotImplemented, "the sandbox does not implement ?"+unserved)
	}
	switch {
	case key == "" && query.Has("notification"):
		return s.serveNotification(bucketName, w, r)
	case key == "" && query.Has("lifecycle"):
		return s.serveLifecycle(bucketName, w, r)
	}
	isWrite := r.Method != http.MethodGet && r.Method != http.MethodHead
	if key != "" || query.Has("prefix") {
		if err := s.chance.admit(time.Now(), bucketName, cmp.Or(key, query.Get("prefix")), isWrite); err != nil {
			return err
		}
	}
	if isWrite {
		if err := s.chance.conflict(conditionsOf(r.Header)); err != nil {
			return err
		}
	}
	var body []byte
	if r.Method == http.MethodPut {
		var err error
		if body, err = readUpload(w, r); err != nil {
			return err
		}
	}
	if query.Has("uploadId") && r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "" {
		return s.copyPart(w, r)
	}
	if key == "" || query.Has("uploads") || query.Has("uploadId") {
		s.library.ServeHTTP(w, r)
		return nil
	}
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		return s.read(bucketName, key, w, r)
	case r.Method == http.MethodDelete:
		return s.remove(bucketName, key, w, r)
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return s.copy(bucketName, key, w, r)
	case r.Method == http.MethodPut:
		return s.write(bucketName, newObject(key, body, storedHeaders(flat(r.Header)), time.Now()), w, r)
	default:
		s.options.Log.Warn().Str("method", r.Method).Str("path", r.URL.Path).Msg("S3 request is not implemented by the sandbox")
		return gofakes3.ErrMethodNotAllowed
	}
}

// unservedPart is a subresource that the request names and nobody here serves:
// without this check it would be taken for a plain request on bucket or object.
func unservedPart(query url.Values) string {
	unserved := []string{
		"accelerate", "acl", "analytics", "attributes", "cors", "encryption", "intelligent-tiering", "inventory",
		"legal-hold", "logging", "metrics", "object-lock", "ownershipControls", "policy",
		"policyStatus", "publicAccessBlock", "replication", "requestPayment", "restore", "retention", "select",
		"tagging", "torrent", "versionId", "website",
	}
	for name := range query {
		if slices.Contains(unserved, name) {
			return name
		}
	}
	return ""
}

func conditionsOf(headers http.Header) conditions {
	return conditions{ifMatch: headers.Get("If-Match"), ifNoneMatch: headers.Get("If-None-Match")}
}

// statusOf is the HTTP status of an error code, also where the library has none
// or another.
func statusOf(code gofakes3.ErrorCode) int {
	switch code {
	case errInvalidRequest:
		return http.StatusBadRequest
	case errSlowDown:
		return http.StatusServiceUnavailable
	case errConflict:
		return http.StatusConflict
	case errDenied:
		return http.StatusForbidden
	case "NoSuchLifecycleConfiguration":
		return http.StatusNotFound
	case gofakes3.ErrMethodNotAllowed:
		return http.StatusMethodNotAllowed
	default:
		return code.Status()
	}
}

type errorBody struct {
	XMLName  xml.Name `xml:"Error"`
	Code     string   `xml:"Code"`
	Message  string   `xml:"Message"`
	Resource string   `xml:"Resource"`
}

func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	code := gofakes3.ErrInternal
	var known gofakes3.Error
	if plain := gofakes3.ErrorCode(""); errors.As(err, &known) {
		code = known.ErrorCode()
	} else if errors.As(err, &plain) {
		code = plain
	} else {
		s.options.Log.Error().Err(err).Str("method", r.Method).Str("path", r.URL.Path).Msg("S3 request failed")
	}
	if isRead := r.Method == http.MethodGet || r.Method == http.MethodHead; isRead && code == gofakes3.ErrNoSuchKey && s.Habits().HideMissing {
		code, err = errDenied, gofakes3.ErrorMessage(errDenied, "Access Denied")
	}
	if code == gofakes3.ErrNotModified || r.Method == http.MethodHead {
		w.WriteHeader(statusOf(code))
		return
	}
	message := err.Error()
	if message == string(code) {
		message = code.Message()
	}
	if code == gofakes3.ErrNoSuchKey {
		message = "The specified key does not exist."
	}
	s.writeXML(w, statusOf(code), errorBody{Code: string(code), Message: message, Resource: r.URL.Path})
}

func (s *Server) writeXML(w http.ResponseWriter, status int, body any) {
	text, err := xml.Marshal(body)
	if err != nil {
		s.options.Log.Error().Err(err).Msg("marshal S3 response")
		status, text = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if _, err := w.Write(append([]byte(xml.Header), text...)); err != nil {
		s.options.Log.Debug().Err(err).Msg("client left before its response was written")
	}
}
