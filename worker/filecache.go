package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// maxCacheBytes bounds what a worker keeps of staged files: enough for the tables that all jobs of a run share, little
// beside a task's ephemeral storage.
const maxCacheBytes = 1 << 30

// fileCache keeps staged files on disk by what they hold, so that jobs that read the same large file download it once.
// Jobs get copies: a program may write to what it was given. The file longest unused goes first. It is safe for
// concurrent use.
type fileCache struct {
	dir string
	max int64 // bytes

	mu      sync.Mutex
	entries map[string]*cachedFile // by identity
	bytes   int64
	uses    uint64 // counts up
}

type cachedFile struct {
	size int64
	used uint64 // 0: being written
}

func newFileCache(dir string, limit int64) (*fileCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &fileCache{dir: dir, max: limit, entries: map[string]*cachedFile{}}, nil
}

func (c *fileCache) path(identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return filepath.Join(c.dir, hex.EncodeToString(sum[:]))
}

// copyTo writes a copy to a new file and returns its size, or false when the cache does not have it.
func (c *fileCache) copyTo(identity, to string) (int64, bool, error) {
	from, err := c.open(identity)
	if err != nil || from == nil {
		return 0, false, err
	}
	defer from.Close()
	n, err := copyFile(from, to)
	return n, err == nil, err
}

// open opens an entry, or returns nil. An entry that is dropped while it is read stays readable.
func (c *fileCache) open(identity string) (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry := c.entries[identity]
	if entry == nil || entry.used == 0 {
		return nil, nil //nolint:nilnil // no file is an answer
	}
	c.uses++
	entry.used = c.uses
	return os.Open(c.path(identity))
}

// add keeps a copy of a file, dropping others to make room. A file that would take more than half of the room is not
// kept, nor is one without identity.
func (c *fileCache) add(identity, file string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if identity == "" || info.Size() > c.max/2 || !c.reserve(identity, info.Size()) {
		return nil
	}
	_, err = copyFile(from, c.path(identity))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		return errors.Join(err, c.drop(identity))
	}
	c.uses++
	c.entries[identity].used = c.uses
	return nil
}

// reserve makes room for an entry and marks it as being written; false when it is there or somebody writes it already.
func (c *fileCache) reserve(identity string, size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[identity] != nil {
		return false
	}
	for c.bytes+size > c.max {
		if !c.dropOldest() {
			return false
		}
	}
	c.bytes += size
	c.entries[identity] = &cachedFile{size: size}
	return true
}

// dropOldest removes the entry longest unused; false when there is none. c.mu is held.
func (c *fileCache) dropOldest() bool {
	oldest := ""
	for identity, entry := range c.entries {
		if entry.used > 0 && (oldest == "" || entry.used < c.entries[oldest].used) {
			oldest = identity
		}
	}
	return oldest != "" && c.drop(oldest) == nil
}

// drop removes an entry. c.mu is held.
func (c *fileCache) drop(identity string) error {
	if err := ignoreMissing(os.Remove(c.path(identity))); err != nil {
		return err
	}
	c.bytes -= c.entries[identity].size
	delete(c.entries, identity)
	return nil
}

func copyFile(from *os.File, to string) (int64, error) {
	f, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, from)
	return n, errors.Join(err, f.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
