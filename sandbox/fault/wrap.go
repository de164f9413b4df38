package fault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// maxBody bounds what is read of a request: more than the largest that a service whose bodies are read takes.
const maxBody = 65 << 20

// Service is what Wrap needs to know of one.
type Service struct {
	Name string // one of Services
	// Operation names a request's operation as AWS does.
	Operation func(r *http.Request) string
	// Refuse writes an error in the service's form. Status 0 is the code's usual one.
	Refuse func(w http.ResponseWriter, r *http.Request, e Refusal)
	// Throttled is what Throttle refuses with; Failed what Reject does that names no code.
	Throttled, Failed Refusal
	// KeepBody says that a body is not to be read before the service does: rules then match paths only.
	KeepBody bool
}

// Refusal is an error in AWS's terms.
type Refusal struct {
	Status  int
	Code    string
	Message string
}

// Wrap plays the rules around a service's handler and counts its calls.
func (i *Injector) Wrap(s Service, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := Call{Service: s.Name, Operation: s.Operation(r), Path: r.URL.Path}
		if !s.KeepBody && r.Body != nil {
			body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
			if err != nil {
				i.count(c, "unread")
				panic(http.ErrAbortHandler) // the client is gone
			}
			c.Body = body
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		rules := i.Decide(c)
		answer := &recorder{ResponseWriter: w, header: http.Header{}}
		drop := false
		for _, rule := range rules {
			switch rule.Kind {
			case Reject, Throttle:
				refusal := s.refusal(rule)
				s.Refuse(w, r, refusal)
				i.count(c, refusal.Code)
				return
			case Delay:
				if wait(r.Context(), time.Duration(rule.Delay)) != nil {
					i.count(c, "gone")
					return
				}
			case Drop:
				drop = true
			case Partial, Duplicate, Kill: // the service asks for them
			}
		}
		if drop {
			next.ServeHTTP(&discard{recorder: answer}, r.WithContext(with(r.Context(), rules)))
			i.count(c, "dropped")
			panic(http.ErrAbortHandler) // closes the connection
		}
		next.ServeHTTP(answer, r.WithContext(with(r.Context(), rules)))
		i.count(c, answer.outcome())
	})
}

func (s Service) refusal(rule Rule) Refusal {
	refusal := s.Failed
	if rule.Kind == Throttle {
		refusal = s.Throttled
	}
	if rule.Kind == Reject && rule.Code != "" {
		refusal = Refusal{Code: rule.Code, Message: "a fault was asked for", Status: http.StatusBadRequest}
	}
	if rule.Message != "" {
		refusal.Message = rule.Message
	}
	if rule.Kind == Reject && rule.Status != 0 {
		refusal.Status = rule.Status
	}
	return refusal
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// recorder passes an answer on and remembers what kind it was.
type recorder struct {
	http.ResponseWriter
	header http.Header // of a discarded answer
	status int
	start  []byte // of an error's body
}

const errorStart = 512

// WriteHeader notes the status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the beginning of an error.
func (w *recorder) Write(data []byte) (int, error) {
	w.note(data)
	return w.ResponseWriter.Write(data)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) note(data []byte) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.status >= http.StatusBadRequest && len(w.start) < errorStart {
		w.start = append(w.start, data[:min(len(data), errorStart-len(w.start))]...)
	}
}

// outcome is "ok", or the error's code as header or XML body give it, or the status.
func (w *recorder) outcome() string {
	if w.status < http.StatusBadRequest {
		return "ok"
	}
	if code := w.Header().Get("X-Amzn-Errortype"); code != "" {
		return code
	}
	if _, rest, ok := bytes.Cut(w.start, []byte("<Code>")); ok {
		if code, _, ok := bytes.Cut(rest, []byte("</Code>")); ok {
			return string(code)
		}
	}
	return http.StatusText(w.status)
}

// discard is an answer that never arrives.
type discard struct{ *recorder }

// Header is one that nobody sees.
func (w *discard) Header() http.Header { return w.header }

// WriteHeader does nothing.
func (w *discard) WriteHeader(int) {}

// Write does nothing.
func (w *discard) Write(data []byte) (int, error) { return len(data), nil }

// Unwrap has nothing beneath it.
func (w *discard) Unwrap() http.ResponseWriter { return nil }

type rulesKey struct{}

func with(ctx context.Context, rules []Rule) context.Context {
	if len(rules) == 0 {
		return ctx
	}
	return context.WithValue(ctx, rulesKey{}, rules)
}

// Wanted returns the first rule of a kind that applies to the request that ctx belongs to.
func Wanted(ctx context.Context, kind Kind) (Rule, bool) {
	rules, _ := ctx.Value(rulesKey{}).([]Rule)
	for _, r := range rules {
		if r.Kind == kind {
			return r, true
		}
	}
	return Rule{}, false
}

// Refused tells which of n entries a partial answer refuses: the last ones, at least one of them.
func (r Rule) Refused(n int) (first int) {
	if n == 0 {
		return 0
	}
	refused := max(1, int(r.Share*float64(n)))
	return max(0, n-refused)
}

// ErrDropped is what a client of an in-process transport gets in place of a dropped answer.
var ErrDropped = errors.New("connection reset by peer")
