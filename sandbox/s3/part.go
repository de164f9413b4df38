package s3

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// copiedPart is UploadPartCopy's answer.
type copiedPart struct {
	XMLName      xml.Name             `xml:"CopyPartResult"`
	ETag         string               `xml:"ETag"`
	LastModified gofakes3.ContentTime `xml:"LastModified"`
}

// copyPart answers UploadPartCopy: the library takes the bytes for a part that was uploaded.
func (s *Server) copyPart(w http.ResponseWriter, r *http.Request) error {
	fromBucket, fromKey, err := copySource(r.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return err
	}
	source, err := s.store.get(fromBucket, fromKey)
	if err != nil {
		return err
	}
	if err := allowCopy(r.Header, source); err != nil {
		return err
	}
	body, err := partOf(source.body, r.Header.Get("X-Amz-Copy-Source-Range"))
	if err != nil {
		return err
	}
	upload := r.Clone(r.Context())
	for name := range upload.Header {
		if strings.HasPrefix(name, "X-Amz-Copy-Source") {
			upload.Header.Del(name)
		}
	}
	upload.Body, upload.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	upload.Header.Set("Content-Length", strconv.Itoa(len(body)))
	answer := &heldBack{ResponseWriter: w}
	s.library.ServeHTTP(answer, upload)
	if answer.refused {
		return nil
	}
	s.writeXML(w, http.StatusOK, copiedPart{ETag: w.Header().Get("ETag"), LastModified: gofakes3.NewContentTime(time.Now())})
	return nil
}

// partOf cuts the range out that is to be copied, which must lie within the source.
func partOf(body []byte, wanted string) ([]byte, error) {
	if wanted == "" {
		return body, nil
	}
	first, last, _ := strings.Cut(strings.TrimPrefix(wanted, "bytes="), "-")
	from, err := strconv.Atoi(first)
	to, err2 := strconv.Atoi(last)
	if err != nil || err2 != nil || from < 0 || to < from || to >= len(body) {
		return nil, gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, "Range specified is not valid for source object of size: "+strconv.Itoa(len(body)))
	}
	return body[from : to+1], nil
}

// heldBack lets the answer through only when it is an error.
type heldBack struct {
	http.ResponseWriter
	refused bool
}

// WriteHeader notes whether it is one.
func (h *heldBack) WriteHeader(status int) {
	if h.refused = status >= http.StatusBadRequest; h.refused {
		h.ResponseWriter.WriteHeader(status)
	}
}

// Write writes an error's body.
func (h *heldBack) Write(data []byte) (int, error) {
	if !h.refused {
		return len(data), nil
	}
	return h.ResponseWriter.Write(data)
}
