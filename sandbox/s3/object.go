package s3

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// Limits of one object, from the S3 user guide.
const (
	maxKeyBytes      = 1024
	maxMetadataBytes = 2 << 10
)

const metadataPrefix = "X-Amz-Meta-"

// read answers GET and HEAD of one object.
func (s *Server) read(bucketName, key string, w http.ResponseWriter, r *http.Request) error {
	o, err := s.store.get(bucketName, key)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("ETag", `"`+o.etag+`"`)
	header.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	if err := allowRead(r.Header, o); err != nil {
		return err
	}
	start, length, err := wantedRange(r.Header.Get("Range"), len(o.body))
	if err != nil {
		header.Set("Content-Range", "bytes */"+strconv.Itoa(len(o.body)))
		return err
	}
	whole := length == len(o.body)
	withChecksums := whole && r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED"
	for name, value := range o.headers {
		switch {
		case isChecksum(name) && !withChecksums:
		case strings.HasPrefix(name, metadataPrefix):
			header[strings.ToLower(name)] = []string{value} // S3 does not capitalise it, and clients show it as it comes
		default:
			header.Set(name, value)
		}
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "binary/octet-stream")
	}
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Length", strconv.Itoa(length))
	status := http.StatusOK
	if !whole {
		status = http.StatusPartialContent
		header.Set("Content-Range", "bytes "+strconv.Itoa(start)+"-"+strconv.Itoa(start+length-1)+"/"+strconv.Itoa(len(o.body)))
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := w.Write(o.body[start : start+length]); err != nil {
		s.options.Log.Debug().Err(err).Msg("client left before its object was written")
	}
	return nil
}

// write answers PutObject.
func (s *Server) write(bucketName string, o *object, w http.ResponseWriter, r *http.Request) error {
	if len(o.key) > maxKeyBytes {
		return gofakes3.ErrKeyTooLong
	}
	metadata := 0
	for name, value := range o.headers {
		if name, ok := strings.CutPrefix(name, metadataPrefix); ok {
			metadata += len(name) + len(value)
		}
	}
	if metadata > maxMetadataBytes {
		return gofakes3.ErrMetadataTooLarge
	}
	if err := s.store.put(bucketName, o, conditionsOf(r.Header), "ObjectCreated:Put"); err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	w.WriteHeader(http.StatusOK)
	return nil
}

// flat keeps the first value of each header.
func flat(headers http.Header) map[string]string {
	first := map[string]string{}
	for name := range headers {
		first[name] = headers.Get(name)
	}
	return first
}

// remove answers DeleteObject.
func (s *Server) remove(bucketName, key string, w http.ResponseWriter, r *http.Request) error {
	if err := s.store.remove(bucketName, key, conditionsOf(r.Header)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// allowRead checks a read's conditions, in the order that RFC 9110 gives them.
func allowRead(headers http.Header, o *object) error {
	modified := o.modified.Truncate(time.Second)
	if match := headers.Get("If-Match"); match != "" {
		if match != "*" && !sameETag(match, o.etag) {
			return errPrecondition
		}
	} else if limit, err := http.ParseTime(headers.Get("If-Unmodified-Since")); err == nil && modified.After(limit) {
		return errPrecondition
	}
	if none := headers.Get("If-None-Match"); none != "" {
		if none == "*" || sameETag(none, o.etag) {
			return gofakes3.ErrNotModified
		}
	} else if since, err := http.ParseTime(headers.Get("If-Modified-Since")); err == nil && !modified.After(since) {
		return gofakes3.ErrNotModified
	}
	return nil
}

// wantedRange reads a Range header of one range; S3 ignores one that it cannot
// read, and refuses one that lies outside the object.
func wantedRange(header string, size int) (start, length int, err error) {
	first, last, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	if header == "" || !ok {
		return 0, size, nil
	}
	if first == "" { // the last so many bytes
		count, err := strconv.Atoi(last)
		if err != nil {
			return 0, size, nil //nolint:nilerr // a header that cannot be read is ignored
		}
		if count == 0 || size == 0 {
			return 0, 0, gofakes3.ErrInvalidRange
		}
		count = min(count, size)
		return size - count, count, nil
	}
	start, err = strconv.Atoi(first)
	if err != nil {
		return 0, size, nil //nolint:nilerr // a header that cannot be read is ignored
	}
	end := size - 1
	if last != "" {
		if end, err = strconv.Atoi(last); err != nil || end < start {
			return 0, size, nil //nolint:nilerr // a header that cannot be read is ignored
		}
	}
	if start >= size {
		return 0, 0, gofakes3.ErrInvalidRange
	}
	return start, min(end, size-1) - start + 1, nil
}

// copy answers CopyObject. An object copied onto itself must change something,
// and becomes as new: its LastModified is now.
func (s *Server) copy(bucketName, key string, w http.ResponseWriter, r *http.Request) error {
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
	replace := r.Header.Get("X-Amz-Metadata-Directive") == "REPLACE"
	if !replace && fromBucket == bucketName && fromKey == key && r.Header.Get("X-Amz-Storage-Class") == "" {
		return gofakes3.ErrorMessage(errInvalidRequest,
			"This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	headers := source.headers
	if replace {
		headers = storedHeaders(flat(r.Header))
		for name, value := range source.headers {
			if isChecksum(name) {
				headers[name] = value
			}
		}
	}
	copied := *source
	copied.key, copied.headers, copied.modified = key, headers, time.Now()
	if err := s.store.put(bucketName, &copied, conditionsOf(r.Header), "ObjectCreated:Copy"); err != nil {
		return err
	}
	s.writeXML(w, http.StatusOK, gofakes3.CopyObjectResult{
		ETag: `"` + copied.etag + `"`, LastModified: gofakes3.NewContentTime(copied.modified),
	})
	return nil
}

// errInvalidRequest is a code that the library does not name.
const errInvalidRequest gofakes3.ErrorCode = "InvalidRequest"

func allowCopy(headers http.Header, source *object) error {
	if match := headers.Get("X-Amz-Copy-Source-If-Match"); match != "" && !sameETag(match, source.etag) {
		return errPrecondition
	}
	if none := headers.Get("X-Amz-Copy-Source-If-None-Match"); none != "" && sameETag(none, source.etag) {
		return errPrecondition
	}
	return nil
}

func copySource(header string) (bucketName, key string, err error) {
	path, err := url.PathUnescape(header)
	if err != nil {
		return "", "", gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, "x-amz-copy-source is not URL-encoded")
	}
	bucketName, key, found := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !found || key == "" {
		return "", "", gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, "x-amz-copy-source must name bucket and key")
	}
	return bucketName, key, nil
}
