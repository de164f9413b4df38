package s3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

// maxUploadBytes is S3's largest single upload.
const maxUploadBytes = 5 << 30

// readUpload reads a request's body whole, undoes the aws-chunked encoding in
// which SDKs stream uploads with their checksum in a trailer, verifies the
// checksums, and leaves a request that looks like a plain upload of that body.
func readUpload(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUploadBytes)
	body, err := readBody(r)
	if err != nil {
		return nil, gofakes3.ErrorMessage(gofakes3.ErrIncompleteBody, err.Error())
	}
	if err := verifyChecksums(r.Header, body); err != nil {
		return nil, err
	}
	for name := range r.Header {
		if isChecksum(name) {
			w.Header().Set(name, r.Header.Get(name))
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return body, nil
}

func readBody(r *http.Request) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		var body bytes.Buffer
		if r.ContentLength > 0 {
			body.Grow(int(r.ContentLength) + bytes.MinRead)
		}
		_, err := body.ReadFrom(r.Body)
		return body.Bytes(), err
	}
	body, trailer, err := readChunked(r.Body)
	if err != nil {
		return nil, err
	}
	if length := r.Header.Get("X-Amz-Decoded-Content-Length"); length != "" && length != strconv.Itoa(len(body)) {
		return nil, fmt.Errorf("x-amz-decoded-content-length is %s, the body has %d bytes", length, len(body))
	}
	maps.Copy(r.Header, trailer)
	r.Header.Del("X-Amz-Content-Sha256")
	withoutChunked(r.Header)
	return body, nil
}

// withoutChunked takes the transfer's own encoding off the object's.
func withoutChunked(headers http.Header) {
	var kept []string
	for encoding := range strings.SplitSeq(headers.Get("Content-Encoding"), ",") {
		if encoding = strings.TrimSpace(encoding); encoding != "" && encoding != "aws-chunked" {
			kept = append(kept, encoding)
		}
	}
	headers.Del("Content-Encoding")
	if len(kept) > 0 {
		headers.Set("Content-Encoding", strings.Join(kept, ","))
	}
}

// readChunked decodes aws-chunked: "<hex size>[;chunk-signature=…]", the bytes,
// and so on to a chunk of size zero, then trailer headers. Signatures are not
// checked.
func readChunked(from io.Reader) ([]byte, http.Header, error) {
	in := bufio.NewReader(from)
	var body bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, nil, fmt.Errorf("read chunk size: %w", err)
		}
		text, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		size, err := strconv.ParseUint(text, 16, 40)
		if err != nil {
			return nil, nil, fmt.Errorf("read chunk size: %w", err)
		}
		if size == 0 {
			break
		}
		if _, err := io.CopyN(&body, in, int64(size)); err != nil {
			return nil, nil, fmt.Errorf("read chunk: %w", err)
		}
		if _, err := in.Discard(len("\r\n")); err != nil {
			return nil, nil, fmt.Errorf("read end of chunk: %w", err)
		}
	}
	trailer, err := textproto.NewReader(in).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("read trailer: %w", err)
	}
	return body.Bytes(), http.Header(trailer), nil
}
