package s3

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3's ETag
	"crypto/rand"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
)

// object is one stored object. It is never changed, only replaced.
type object struct {
	key      string
	body     []byte
	etag     string // hex MD5, or 32 other digits where KMS encrypts; without quotes
	modified time.Time
	headers  map[string]string // Content-Type and the like, X-Amz-Meta-*, X-Amz-Checksum-*
}

func newObject(key string, body []byte, headers map[string]string, now time.Time) *object {
	sum := md5.Sum(body) //nolint:gosec // S3's ETag
	return &object{key: key, body: body, etag: hex.EncodeToString(sum[:]), modified: now, headers: headers}
}

// conditions are a request's If-Match and If-None-Match; empty means none.
type conditions struct {
	ifMatch, ifNoneMatch string
}

// allowWrite says whether a put or delete may go on, given what is there now (nil: nothing).
func (c conditions) allowWrite(current *object) error {
	if c.ifNoneMatch != "" && current != nil && (c.ifNoneMatch == "*" || sameETag(c.ifNoneMatch, current.etag)) {
		return errPrecondition
	}
	if c.ifMatch == "" {
		return nil
	}
	if current == nil {
		return gofakes3.ErrNoSuchKey
	}
	if c.ifMatch != "*" && !sameETag(c.ifMatch, current.etag) {
		return errPrecondition
	}
	return nil
}

const errPrecondition = gofakes3.ErrPreconditionFailed

func sameETag(given, etag string) bool { return strings.Trim(given, `"`) == etag }

// bucket is one bucket's objects, with their keys in order for listings.
type bucket struct {
	name    string
	created time.Time

	mu      sync.RWMutex
	objects map[string]*object
	keys    keyIndex
	rules   []rule

	lifecycle []lifecycleRule
}

// change is what happened to one key, for the notifications.
type change struct {
	bucket    *bucket
	rules     []rule
	event     string // such as ObjectCreated:Put
	object    *object
	sequencer uint64
	at        time.Time
}

// store is all buckets. It implements gofakes3.Backend and is safe for
// concurrent use.
type store struct {
	notify  func(change) // called without locks, after every change
	ownETag func() bool  // whether ETags are no digests of what they name

	mu        sync.RWMutex
	buckets   map[string]*bucket
	sequencer sequence
}

var _ gofakes3.Backend = (*store)(nil)

func newStore(notify func(change), ownETag func() bool) *store {
	return &store{notify: notify, ownETag: ownETag, buckets: map[string]*bucket{}}
}

func (s *store) bucket(name string) (*bucket, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, gofakes3.BucketNotFound(name)
}

func (s *store) all() []*bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.buckets))
}

// get returns the object, or NoSuchBucket or NoSuchKey.
func (s *store) get(bucketName, key string) (*object, error) {
	b, err := s.bucket(bucketName)
	if err != nil {
		return nil, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if o := b.objects[key]; o != nil {
		return o, nil
	}
	return nil, gofakes3.KeyNotFound(key)
}

// put stores o, which nobody else has yet, if the conditions hold of what it replaces, in one step.
func (s *store) put(bucketName string, o *object, c conditions, event string) error {
	b, err := s.bucket(bucketName)
	if err != nil {
		return err
	}
	if s.ownETag() {
		var own [md5.Size]byte
		_, _ = rand.Read(own[:]) // never fails
		o.etag = hex.EncodeToString(own[:])
	}
	done, err := b.put(o, c, &s.sequencer)
	if err != nil {
		return err
	}
	done.event = event
	s.notify(done)
	return nil
}

func (b *bucket) put(o *object, c conditions, sequencer *sequence) (change, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.objects[o.key]
	if err := c.allowWrite(current); err != nil {
		return change{}, err
	}
	if current == nil {
		b.keys.insert(o.key)
	}
	b.objects[o.key] = o
	return change{bucket: b, rules: b.rules, object: o, sequencer: sequencer.next(), at: o.modified}, nil
}

// remove deletes a key if the conditions hold; deleting nothing is no error and
// makes no notification.
func (s *store) remove(bucketName, key string, c conditions) error {
	b, err := s.bucket(bucketName)
	if err != nil {
		return err
	}
	done, err := b.remove(key, c, &s.sequencer)
	if err != nil || done.object == nil {
		return err
	}
	s.notify(done)
	return nil
}

func (b *bucket) remove(key string, c conditions, sequencer *sequence) (change, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	current := b.objects[key]
	if err := c.allowWrite(current); err != nil || current == nil {
		return change{}, err
	}
	delete(b.objects, key)
	b.keys.remove(key)
	return change{
		bucket: b, rules: b.rules, object: current, event: "ObjectRemoved:Delete",
		sequencer: sequencer.next(), at: time.Now(),
	}, nil
}

// ListBuckets returns all buckets in the order of their names.
func (s *store) ListBuckets() ([]gofakes3.BucketInfo, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var infos []gofakes3.BucketInfo
	for _, name := range slices.Sorted(maps.Keys(s.buckets)) {
		infos = append(infos, gofakes3.BucketInfo{Name: name, CreationDate: gofakes3.NewContentTime(s.buckets[name].created)})
	}
	return infos, nil
}

// CreateBucket makes a bucket; one's own may be made again, as in us-east-1.
func (s *store) CreateBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name] == nil {
		s.buckets[name] = &bucket{name: name, created: time.Now(), objects: map[string]*object{}}
	}
	return nil
}

// BucketExists says whether there is such a bucket.
func (s *store) BucketExists(name string) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[name] != nil, nil
}

// DeleteBucket deletes an empty bucket.
func (s *store) DeleteBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return gofakes3.ErrNoSuchBucket
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.objects) > 0 {
		return gofakes3.ResourceError(gofakes3.ErrBucketNotEmpty, name)
	}
	delete(s.buckets, name)
	return nil
}

// ForceDeleteBucket deletes a bucket with its objects.
func (s *store) ForceDeleteBucket(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.buckets, name)
	return nil
}

// PutObject stores an object that the library has put together of parts; plain
// puts, and with them all conditions, are answered in front of it.
func (s *store) PutObject(bucketName, key string, meta map[string]string, input io.Reader, size int64, _ *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) { //nolint:revive // the library's interface has so many arguments
	body, err := gofakes3.ReadAll(input, size)
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	o := newObject(key, body, storedHeaders(meta), time.Now())
	return gofakes3.PutObjectResult{}, s.put(bucketName, o, conditions{}, "ObjectCreated:CompleteMultipartUpload")
}

// storedHeaders keeps those of a request's headers that belong to the object.
func storedHeaders(headers map[string]string) map[string]string {
	stored := map[string]string{}
	for name, value := range headers {
		switch {
		case name == "Content-Type", name == "Content-Encoding", name == "Content-Disposition",
			name == "Content-Language", name == "Cache-Control", name == "Expires",
			strings.HasPrefix(name, metadataPrefix), isChecksum(name):
			stored[name] = value
		}
	}
	return stored
}

// GetObject is for the library; clients' reads are answered in front of it.
func (s *store) GetObject(bucketName, key string, wanted *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	o, err := s.get(bucketName, key)
	if err != nil {
		return nil, err
	}
	span, err := wanted.Range(int64(len(o.body)))
	if err != nil {
		return nil, err
	}
	body := o.body
	if span != nil {
		body = body[span.Start : span.Start+span.Length]
	}
	return o.describe(io.NopCloser(bytes.NewReader(body)), span)
}

// HeadObject describes an object without its body.
func (s *store) HeadObject(bucketName, key string) (*gofakes3.Object, error) {
	o, err := s.get(bucketName, key)
	if err != nil {
		return nil, err
	}
	return o.describe(io.NopCloser(bytes.NewReader(nil)), nil)
}

func (o *object) describe(contents io.ReadCloser, span *gofakes3.ObjectRange) (*gofakes3.Object, error) {
	hash, err := hex.DecodeString(o.etag)
	return &gofakes3.Object{
		Name: o.key, Metadata: maps.Clone(o.headers), Size: int64(len(o.body)),
		Contents: contents, Hash: hash, Range: span,
	}, err
}

// DeleteObject deletes one key.
func (s *store) DeleteObject(bucketName, key string) (gofakes3.ObjectDeleteResult, error) {
	return gofakes3.ObjectDeleteResult{}, s.remove(bucketName, key, conditions{})
}

// maxDeleted is the most keys that one DeleteObjects names (its API reference).
const maxDeleted = 1000

// DeleteMulti deletes several keys.
func (s *store) DeleteMulti(bucketName string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	var result gofakes3.MultiDeleteResult
	if len(keys) > maxDeleted {
		return result, gofakes3.ErrMalformedXML
	}
	for _, key := range keys {
		if err := s.remove(bucketName, key, conditions{}); err != nil {
			return result, err
		}
		result.Deleted = append(result.Deleted, gofakes3.ObjectID{Key: key})
	}
	return result, nil
}

// CopyObject is for the library; clients' copies are answered in front of it.
func (s *store) CopyObject(fromBucket, fromKey, toBucket, toKey string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObject(s, fromBucket, fromKey, toBucket, toKey, meta)
}
