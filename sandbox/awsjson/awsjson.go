package awsjson

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
)

// maxBodyBytes bounds a request body: the largest that any JSON service here
// accepts is BatchWriteItem's 16 MiB, and JSON escapes may enlarge it.
const maxBodyBytes = 64 << 20

// Operation answers one request. The body is the request's JSON, never empty
// (an empty one arrives as "{}"). The result is marshalled as the response; nil
// means an empty body. An error that is (or wraps) an *Error reaches the client
// as that code; any other is a server fault. Operations run concurrently, and
// ctx ends when the client goes away.
type Operation func(ctx context.Context, body []byte) (any, error)

// Handle makes an Operation of a function that takes and returns structs with
// JSON tags. Fields of the request that In does not name are ignored.
func Handle[In, Out any](do func(context.Context, In) (Out, error)) Operation {
	return func(ctx context.Context, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, &Error{Code: "SerializationException", Message: err.Error()}
		}
		return do(ctx, in)
	}
}

// Error is a fault in AWS's terms.
type Error struct {
	// Status is the HTTP status; 0 means 400.
	Status int
	// Code is the exception's shape name, as SDKs know it.
	Code string
	// Message is what a person reads.
	Message string
	// QueryCode is the code of the older query protocol, sent in the
	// x-amzn-query-error header (SQS); empty leaves the header out.
	QueryCode string
	// Fields are further members of the exception, such as resourceIds.
	Fields map[string]any
}

// Errorf makes a client error (HTTP 400).
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error says code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func (e *Error) status() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

func (e *Error) body() map[string]any {
	body := make(map[string]any, len(e.Fields)+2)
	maps.Copy(body, e.Fields)
	body["__type"] = e.Code
	body["message"] = e.Message
	return body
}

// Mux serves one service: the requests whose X-Amz-Target starts with Prefix.
type Mux struct {
	// Prefix is the target's part before the operation, with its final dot.
	Prefix string
	// ContentType is application/x-amz-json-1.0 or -1.1.
	ContentType string
	// Checksum sends the response's CRC-32 with it, as DynamoDB does.
	Checksum bool
	// Operations are looked up by name.
	Operations map[string]Operation
	// Log receives unknown operations and server faults.
	Log zerolog.Logger
}

// Names are the operations', in order.
func (m *Mux) Names() []string { return slices.Sorted(maps.Keys(m.Operations)) }

// ServeHTTP answers one request.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result, err := m.call(r)
	w.Header().Set("Content-Type", m.ContentType)
	w.Header().Set("X-Amzn-Requestid", requestID())
	if err != nil {
		m.writeError(w, r, err)
		return
	}
	var body []byte
	if result != nil {
		if body, err = json.Marshal(result); err != nil {
			m.writeError(w, r, fmt.Errorf("marshal response: %w", err))
			return
		}
	}
	m.write(w, http.StatusOK, body)
}

func (m *Mux) call(r *http.Request) (any, error) {
	target := r.Header.Get("X-Amz-Target")
	name, ok := strings.CutPrefix(target, m.Prefix)
	operation := m.Operations[name]
	if !ok || operation == nil {
		m.Log.Warn().Str("target", target).Msg("operation is not implemented by the sandbox")
		return nil, Errorf("UnknownOperationException", "the sandbox does not implement %q", target)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBodyBytes))
	if err != nil {
		return nil, Errorf("SerializationException", "cannot read the request: %v", err)
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	return operation(r.Context(), body)
}

func (m *Mux) writeError(w http.ResponseWriter, r *http.Request, err error) {
	var fault *Error
	if !errors.As(err, &fault) {
		if r.Context().Err() == nil {
			m.Log.Error().Err(err).Str("target", r.Header.Get("X-Amz-Target")).Msg("operation failed")
		}
		fault = &Error{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: err.Error()}
	}
	w.Header().Set("X-Amzn-Errortype", fault.Code)
	if fault.QueryCode != "" {
		w.Header().Set("X-Amzn-Query-Error", fault.QueryCode+";"+senderOf(fault.status()))
	}
	body, err := json.Marshal(fault.body())
	if err != nil {
		m.Log.Error().Err(err).Str("code", fault.Code).Msg("error has fields that cannot be marshalled")
		body = []byte(`{"__type":"InternalServerError"}`)
	}
	m.write(w, fault.status(), body)
}

func (m *Mux) write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if m.Checksum {
		w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		m.Log.Debug().Err(err).Msg("client left before its response was written")
	}
}

func senderOf(status int) string {
	if status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

func requestID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails: it ends the program instead
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}
