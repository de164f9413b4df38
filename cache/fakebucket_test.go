package cache

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"time"

	"spate/internal/objects"
	"spate/job"
)

func (o fakeObject) etag() string {
	sum := md5.Sum(o.data)
	return hex.EncodeToString(sum[:])
}

func (o fakeObject) info(key string) objects.Info {
	return objects.Info{Key: key, ETag: o.etag(), Size: int64(len(o.data)), LastModified: o.modified}
}

// request does one request under the lock, between the hooks.
func (o *fakeObjects) request(verb, key string, do func(have fakeObject, found bool) error) error {
	if o.before != nil {
		if err := o.before(verb, key); err != nil {
			return err
		}
	}
	o.mu.Lock()
	have, found := o.objects[key]
	err := do(have, found)
	o.mu.Unlock()
	if o.after != nil {
		return o.after(verb, key, err)
	}
	return err
}

func (o *fakeObjects) Head(_ context.Context, key string) (info objects.Info, err error) {
	err = o.request("head", key, func(have fakeObject, found bool) error {
		if !found {
			return fmt.Errorf("head %s: %w", key, objects.ErrNotFound)
		}
		info = have.info(key)
		return nil
	})
	return info, err
}

func (o *fakeObjects) Put(_ context.Context, key string, data []byte, c objects.Condition) (etag string, err error) {
	err = o.request("put", key, func(have fakeObject, found bool) error {
		switch {
		case c.IfMatch != "" && !found:
			return fmt.Errorf("put %s: %w", key, objects.ErrNotFound)
		case c.IfMatch != "" && have.etag() != c.IfMatch, c.IfAbsent && found:
			return fmt.Errorf("put %s: %w", key, objects.ErrPrecondition)
		}
		put := fakeObject{data, o.now}
		o.objects[key], etag = put, put.etag()
		return nil
	})
	return etag, err
}

func (o *fakeObjects) Renew(_ context.Context, key string, size int64, _ objects.CopyLimits) error {
	return o.request("renew", key, func(have fakeObject, found bool) error {
		switch {
		case !found:
			return fmt.Errorf("renew %s: %w", key, objects.ErrNotFound)
		case size >= 0 && int64(len(have.data)) != size:
			return fmt.Errorf("renew %s: %w", key, objects.ErrOtherSize)
		}
		have.modified = o.now
		o.objects[key] = have
		return nil
	})
}

func (o *fakeObjects) Delete(_ context.Context, key string, c objects.Condition) error {
	return o.request("delete", key, func(have fakeObject, found bool) error {
		switch {
		case c.IfMatch != "" && !found:
			return fmt.Errorf("delete %s: %w", key, objects.ErrNotFound)
		case c.IfMatch != "" && have.etag() != c.IfMatch:
			return fmt.Errorf("delete %s: %w", key, objects.ErrPrecondition)
		}
		delete(o.objects, key)
		return nil
	})
}

// publishFiles puts an output with files of the given sizes, and a long log when there is to be one.
func (o *fakeObjects) publishFiles(key job.Key, attempt string, modified time.Time, withLog bool, sizes ...int) *job.Manifest {
	m := &job.Manifest{V: job.MessageVersion, Key: key, Attempt: attempt, Run: "run"}
	for i, size := range sizes {
		f := job.File{Path: fmt.Sprintf("file-%d", i), Size: int64(size)}
		m.Files = append(m.Files, f)
		o.set(m.Object(f), fakeObject{make([]byte, size), modified})
	}
	if withLog {
		m.LogBytes = 3
		o.set(job.LogPath(key, attempt), fakeObject{[]byte("log"), modified})
	}
	data, err := m.Encode()
	if err != nil {
		panic(err)
	}
	o.set(job.ManifestPath(key), fakeObject{data, modified})
	return m
}

// modified is when an object was last written; the zero time when there is none.
func (o *fakeObjects) modified(key string) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.objects[key].modified
}
