package job

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// KeySize is the length of a Key in bytes.
const KeySize = sha256.Size

// Key identifies a job by everything its result may depend on. The zero Key identifies nothing.
type Key [KeySize]byte

// ParseKey reads the 64 lower-case hexadecimal digits that String writes.
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) != 2*KeySize {
		return Key{}, fmt.Errorf("parse key %q: want %d hexadecimal digits, have %d characters", clip(s), 2*KeySize, len(s))
	}
	for _, c := range []byte(s) {
		if c >= 'A' && c <= 'F' {
			return Key{}, fmt.Errorf("parse key %q: want lower-case digits", s)
		}
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return Key{}, fmt.Errorf("parse key %q: %w", s, err)
	}
	return k, nil
}

// String is the key as 64 lower-case hexadecimal digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Short is the first twelve digits: enough for a person to tell keys apart, never an identity.
func (k Key) Short() string { return hex.EncodeToString(k[:6]) }

// IsZero reports whether k identifies nothing.
func (k Key) IsZero() bool { return k == Key{} }

// MarshalText writes what String returns.
func (k Key) MarshalText() ([]byte, error) { return k.AppendText(nil) }

// AppendText appends what String returns.
func (k Key) AppendText(text []byte) ([]byte, error) { return hex.AppendEncode(text, k[:]), nil }

// UnmarshalText reads what ParseKey accepts.
func (k *Key) UnmarshalText(text []byte) error {
	parsed, err := ParseKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// DocumentVersion is the version of the canonical documents from which keys are made. A change of their meaning
// changes it, and with it every key.
const DocumentVersion = 1

// Document is all that a job's result may depend on. Its canonical JSON is part of every message and output manifest,
// so that a key can be explained and derived again.
type Document struct {
	Spec    SpecDocument             `json:"spec"`
	Parents map[string]ParentOutputs `json:"parents"` // by staged name
}

// SpecDocument is the part of a Document that does not depend on other jobs.
type SpecDocument struct {
	V         int                      `json:"v"`         // DocumentVersion
	Namespace string                   `json:"namespace"` // barrier between users of one bucket
	Image     string                   `json:"image"`     // "sha256:…", the digest of the platform's image
	Platform  string                   `json:"platform"`  // "linux/amd64" or "linux/arm64"
	Task      TaskDocument             `json:"task"`
	Params    jsontext.Value           `json:"params"` // an object
	Inputs    map[string]InputIdentity `json:"inputs"` // by staged name
	Env       map[string]string        `json:"env"`
	Run       string                   `json:"run,omitzero"`   // only of a task type that is not deterministic
	Again     string                   `json:"again,omitzero"` // only of a job computed again: the id of the run that does so
}

// TaskDocument is the part of a task type that a result may depend on.
type TaskDocument struct {
	Name       string   `json:"name"`
	Command    []string `json:"command"`
	Before     []string `json:"before,omitempty"`
	After      []string `json:"after,omitempty"`
	OnFailure  []string `json:"on_failure,omitempty"`
	InputDir   string   `json:"input_dir"`
	OutputDirs []string `json:"output_dirs"`
}

// InputIdentity says which bytes an input is: an ETag with a size as S3 gives them, or a SHA-256 that the submitter
// gave. Never a CRC: it would not stand against an accident on purpose.
type InputIdentity struct {
	ETag   string `json:"etag,omitzero"`   // without quotes
	Size   int64  `json:"size,omitzero"`   // bytes
	SHA256 string `json:"sha256,omitzero"` // 64 lower-case hexadecimal digits
}

// ParentOutputs says which files of which output are staged.
type ParentOutputs struct {
	Key   Key      `json:"key"`
	Files []string `json:"files,omitempty"` // sorted by their bytes, each once; none means all
}

// keyDocument is what a Key is the hash of.
type keyDocument struct {
	V       int                      `json:"v"`
	Spec    string                   `json:"spec"` // hexadecimal SHA-256 of the canonical SpecDocument
	Parents map[string]ParentOutputs `json:"parents"`
}

// Original is the document of the job that this one computes again; d itself when it is no such job. It is what the job's
// process may know of: what is computed again must not see that it is.
func (d Document) Original() Document {
	d.Spec.Again = ""
	return d
}

// Key derives the key: SHA-256(JCS{v, spec: SHA-256(JCS(spec)), parents}). It fails only for a document that JSON
// cannot hold, such as parameters that are no valid JSON.
func (d Document) Key() (Key, error) {
	spec, err := d.Spec.Hash()
	if err != nil {
		return Key{}, err
	}
	return KeyOf(spec, d.Parents)
}

// Hash is the SHA-256 of the canonical spec document.
func (s SpecDocument) Hash() ([KeySize]byte, error) {
	canonical, err := s.canonical()
	if err != nil {
		return [KeySize]byte{}, err
	}
	return sha256.Sum256(canonical), nil
}

func (s SpecDocument) canonical() (jsontext.Value, error) {
	s.normalise()
	return canonicalJSON(s)
}

// normalise makes absent and empty the same.
func (s *SpecDocument) normalise() {
	if len(s.Params) == 0 {
		s.Params = jsontext.Value("{}")
	}
	if s.Inputs == nil {
		s.Inputs = map[string]InputIdentity{}
	}
	if s.Env == nil {
		s.Env = map[string]string{}
	}
	if s.Task.Command == nil {
		s.Task.Command = []string{}
	}
	if s.Task.OutputDirs == nil {
		s.Task.OutputDirs = []string{}
	}
}

// KeyOf derives a key from the hash of a spec document and the outputs of the parents.
func KeyOf(spec [KeySize]byte, parents map[string]ParentOutputs) (Key, error) {
	canonical, err := canonicalJSON(keyDocument{
		V: DocumentVersion, Spec: hex.EncodeToString(spec[:]), Parents: normaliseParents(parents),
	})
	if err != nil {
		return Key{}, err
	}
	return sha256.Sum256(canonical), nil
}

// Canonical is the document as canonical JSON (RFC 8785).
func (d Document) Canonical() (jsontext.Value, error) {
	d.Spec.normalise()
	d.Parents = normaliseParents(d.Parents)
	return canonicalJSON(d)
}

// normaliseParents makes absent and empty the same, and the order of files of no account.
func normaliseParents(parents map[string]ParentOutputs) map[string]ParentOutputs {
	normal := make(map[string]ParentOutputs, len(parents))
	for name, p := range parents {
		if !slices.IsSorted(p.Files) {
			p.Files = slices.Sorted(slices.Values(p.Files))
		}
		normal[name] = p
	}
	return normal
}

// ParseDocument reads what Canonical writes. It refuses versions it does not know: a key derived by other rules would
// be a wrong key.
func ParseDocument(data []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(data, &d, json.RejectUnknownMembers(true)); err != nil {
		return Document{}, fmt.Errorf("parse document: %w", err)
	}
	if d.Spec.V != DocumentVersion {
		return Document{}, fmt.Errorf("parse document: version %d, this program knows %d", d.Spec.V, DocumentVersion)
	}
	return d, nil
}

func canonicalJSON(v any) (jsontext.Value, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	value := jsontext.Value(data)
	if err := value.Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	return value, nil
}
