package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"spate/sandbox/fault"
)

// Transport carries requests to the sandbox without a connection: for tests inside [testing/synctest], where time is
// virtual and sockets would stop it, and wherever calls must be cheap. It works before Run, during and after it.
//
// A request is served in the goroutine that sends it, and ends when its context does; one whose answer a fault drops
// fails with [fault.ErrDropped].
func (s *Sandbox) Transport() http.RoundTripper { return inProcess{s.handler} }

type inProcess struct{ handler http.Handler }

// RoundTrip serves one request.
func (t inProcess) RoundTrip(request *http.Request) (_ *http.Response, err error) {
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		switch failure := recover(); {
		case failure == http.ErrAbortHandler: //nolint:errorlint // a panic's value, which handlers use as it is
			err = fault.ErrDropped
		case failure != nil:
			panic(failure)
		}
	}()
	served := request.Clone(request.Context())
	served.RequestURI, served.RemoteAddr = request.URL.RequestURI(), "in-process"
	if served.Host == "" {
		served.Host = request.URL.Host
	}
	if served.Body == nil {
		served.Body = http.NoBody
	}
	if served.ContentLength > 0 && served.Header.Get("Content-Length") == "" { // a server would see it
		served.Header.Set("Content-Length", strconv.FormatInt(served.ContentLength, 10))
	}
	answer := &buffered{header: http.Header{}}
	t.handler.ServeHTTP(answer, served)
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	return answer.response(request), nil
}

// buffered is an answer held in memory.
type buffered struct {
	header http.Header
	sent   http.Header // as it was when the status was written
	status int
	body   bytes.Buffer
}

// Header is the answer's, until WriteHeader.
func (b *buffered) Header() http.Header { return b.header }

// WriteHeader sets the status; only the first call counts.
func (b *buffered) WriteHeader(status int) {
	if b.status == 0 {
		b.status, b.sent = status, b.header.Clone()
	}
}

// Write appends to the body.
func (b *buffered) Write(data []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(data)
}

func (b *buffered) response(request *http.Request) *http.Response {
	b.WriteHeader(http.StatusOK)
	length := int64(b.body.Len())
	if given, err := strconv.ParseInt(b.sent.Get("Content-Length"), 10, 64); err == nil {
		length = given
	}
	body := io.NopCloser(&b.body)
	if request.Method == http.MethodHead {
		body = http.NoBody
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", b.status, http.StatusText(b.status)), StatusCode: b.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: b.sent, Body: body, ContentLength: length, Request: request,
	}
}
