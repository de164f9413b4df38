package job

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Manifest seals an output: it is uploaded last, names the attempt that counts, and its existence is what "done" means.
type Manifest struct {
	V        int            `json:"v"`
	Key      Key            `json:"key"`
	Attempt  string         `json:"attempt"` // the directory below OutputPrefix that holds the files
	Files    []File         `json:"files"`   // sorted by path
	Image    string         `json:"image"`
	Seconds  float64        `json:"seconds"`  // that the process ran
	Run      string         `json:"run"`      // the run that caused it
	Worker   string         `json:"worker"`   // ARN of the task that made it
	Document jsontext.Value `json:"document"` // canonical; Key is its hash
	At       time.Time      `json:"created_at"`

	// What the job printed: all of it, or how long the object at LogPath is. It says nothing about the output.
	Log      string `json:"log,omitzero"`
	LogBytes int64  `json:"log_bytes,omitzero"`
}

// File is one file of an output.
type File struct {
	Path   string `json:"path"`   // relative to the job's output directory
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // 64 lower-case hexadecimal digits
}

// Bytes is the size of all files together.
func (m *Manifest) Bytes() int64 {
	var sum int64
	for _, f := range m.Files {
		sum += f.Size
	}
	return sum
}

// Select returns the files that a child asked for: all when names is empty. A name that the output does not have is an
// error.
func (m *Manifest) Select(names []string) ([]File, error) {
	if len(names) == 0 {
		return m.Files, nil
	}
	files := make([]File, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(m.Files, func(f File) bool { return f.Path == name })
		if i < 0 {
			have := make([]string, len(m.Files))
			for i, f := range m.Files {
				have[i] = f.Path
			}
			return nil, fmt.Errorf("output %s has no file %q; it has %s", m.Key.Short(), name, strings.Join(have, ", "))
		}
		files = append(files, m.Files[i])
	}
	return files, nil
}

// Object is the object key of one of the manifest's files.
func (m *Manifest) Object(f File) string { return AttemptPrefix(m.Key, m.Attempt) + f.Path }

// Encode writes the manifest.
func (m *Manifest) Encode() ([]byte, error) {
	data, err := json.Marshal(m, jsontext.Multiline(true))
	if err != nil {
		return nil, fmt.Errorf("encode manifest of %s: %w", m.Key.Short(), err)
	}
	return append(data, '\n'), nil
}

// ParseManifest reads what Encode writes. want is the key in whose place the manifest was found.
func ParseManifest(data []byte, want Key) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("parse manifest of %s: %w", want.Short(), err)
	}
	switch {
	case m.V != MessageVersion:
		return nil, fmt.Errorf("parse manifest of %s: version %d, this program knows %d", want.Short(), m.V, MessageVersion)
	case m.Key != want:
		return nil, fmt.Errorf("parse manifest of %s: it is %s's", want.Short(), m.Key.Short())
	case CheckPath(m.Attempt) != nil || strings.Contains(m.Attempt, "/"):
		return nil, fmt.Errorf("parse manifest of %s: attempt %q is no directory name", want.Short(), clip(m.Attempt))
	}
	var seen names
	for _, f := range m.Files {
		if !seen.add(f.Path) {
			return nil, fmt.Errorf("parse manifest of %s: file %q stands in it twice", want.Short(), clip(f.Path))
		}
		if err := CheckPath(f.Path); err != nil {
			return nil, fmt.Errorf("parse manifest of %s: %w", want.Short(), err)
		}
		if f.Size < 0 {
			return nil, fmt.Errorf("parse manifest of %s: file %q has size %d", want.Short(), f.Path, f.Size)
		}
	}
	if err := m.Document.Compact(); err != nil { // Encode indents it with the rest
		return nil, fmt.Errorf("parse manifest of %s: document: %w", want.Short(), err)
	}
	return &m, nil
}
