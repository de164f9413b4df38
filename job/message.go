package job

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxMessageBytes is the size up to which an SQS queue takes a message unless its MaximumMessageSize is raised
// (Amazon SQS quotas).
const MaxMessageBytes = 256 << 10

// MessageVersion is the version of Message, Event and Submission.
const MessageVersion = 1

// Message is a job on its way to a worker. It carries all that the worker needs.
type Message struct {
	V        int               `json:"v"`
	Run      string            `json:"run"`
	Job      string            `json:"job"` // the run's id of it; for logs
	Key      Key               `json:"key"`
	Document jsontext.Value    `json:"document"`         // canonical; Key is its hash
	Inputs   map[string]string `json:"inputs,omitempty"` // URLs by staged name; the identities are in the document
	Attempt  int               `json:"attempt"`          // from 1
	Timeout  Duration          `json:"timeout"`          // of this attempt
	Replaces Replaced          `json:",embed"`           // the output that counts as absent: the job is computed again
	Passes   int               `json:"passes,omitzero"`  // how often workers of another image have passed it on; producers leave it out
}

// Encode writes the message. It refuses one that a queue would not take.
func (m Message) Encode() ([]byte, error) {
	data, err := encodeBody(m)
	if err != nil {
		return nil, fmt.Errorf("encode message of job %s: %w", m.Job, err)
	}
	if len(data) > MaxMessageBytes {
		return nil, fmt.Errorf("encode message of job %s: %d bytes, a queue takes %d: pass large parameters as an input, and combine many parents in steps", m.Job, len(data), MaxMessageBytes)
	}
	return data, nil
}

// encodeBody writes JSON of the characters that SQS takes (Amazon SQS API reference, "SendMessage"): JSON escapes control
// characters by itself, and U+FFFE and U+FFFF are escaped here. They can only be within strings.
func encodeBody(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	data = bytes.ReplaceAll(data, []byte("\uFFFE"), []byte(`\uFFFE`))
	return bytes.ReplaceAll(data, []byte("\uFFFF"), []byte(`\uFFFF`)), nil
}

// ParseMessage reads a message and checks that its key is its document's. The document is canonical again, whatever the
// queue's characters made of it.
func ParseMessage(data []byte) (Message, Document, error) {
	var m Message
	if err := json.Unmarshal(data, &m); err != nil {
		return Message{}, Document{}, fmt.Errorf("parse message: %w", err)
	}
	if m.V != MessageVersion {
		return Message{}, Document{}, fmt.Errorf("parse message: version %d, this program knows %d", m.V, MessageVersion)
	}
	if err := m.Document.Canonicalize(); err != nil {
		return Message{}, Document{}, fmt.Errorf("parse message of job %s: document: %w", m.Job, err)
	}
	doc, err := ParseDocument(m.Document)
	if err != nil {
		return Message{}, Document{}, fmt.Errorf("parse message of job %s: %w", m.Job, err)
	}
	key, err := doc.Key()
	if err != nil {
		return Message{}, Document{}, fmt.Errorf("parse message of job %s: %w", m.Job, err)
	}
	switch {
	case key != m.Key:
		return Message{}, Document{}, fmt.Errorf("parse message of job %s: key %s is not its document's, %s", m.Job, m.Key.Short(), key.Short())
	case m.Attempt < 1:
		return Message{}, Document{}, fmt.Errorf("parse message of job %s: attempt %d, want at least 1", m.Job, m.Attempt)
	case m.Timeout <= 0:
		return Message{}, Document{}, fmt.Errorf("parse message of job %s: timeout %s, want more than 0", m.Job, time.Duration(m.Timeout))
	}
	if err := m.checkStaged(doc); err != nil {
		return Message{}, Document{}, fmt.Errorf("parse message of job %s: %w", m.Job, err)
	}
	return m, doc, nil
}

// checkStaged checks that each input has a URL, and that a worker can use the staged names as paths.
func (m Message) checkStaged(doc Document) error {
	for _, name := range slices.Sorted(maps.Keys(doc.Spec.Inputs)) {
		if err := CheckPath(name); err != nil {
			return fmt.Errorf("inputs: %w", err)
		}
		if _, _, err := ParseObjectURL(m.Inputs[name]); err != nil {
			return fmt.Errorf("input %q: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Parents)) {
		if err := CheckPath(name); err != nil {
			return fmt.Errorf("parents: %w", err)
		}
		for _, file := range doc.Parents[name].Files {
			if err := CheckPath(file); err != nil {
				return fmt.Errorf("files of parent %q: %w", name, err)
			}
		}
	}
	return nil
}

// EventType says what became of an attempt.
type EventType string

// The types of Event.
const (
	EventSucceeded    EventType = "succeeded"     // the output exists
	EventFailed       EventType = "failed"        // this attempt failed
	EventParentLost   EventType = "parent_lost"   // a parent's output is missing or corrupt; see Event.Lost
	EventInputChanged EventType = "input_changed" // an input is not what the key says; the job must be planned again
	EventCancelled    EventType = "cancelled"     // dropped before it was started: its run is cancelled
)

// Event is what a worker says about a job. Events arrive at least once and in any order.
type Event struct {
	V         int       `json:"v"`
	Type      EventType `json:"type"`
	Run       string    `json:"run"`
	Job       string    `json:"job"`
	Key       Key       `json:"key"`
	Attempt   int       `json:"attempt"`
	Worker    string    `json:"worker"`               // ARN of its task
	Reused    bool      `json:"reused,omitzero"`      // succeeded by somebody else's output: it existed, or was there first
	Bytes     int64     `json:"bytes,omitzero"`       // of the output's files
	Seconds   float64   `json:"seconds,omitzero"`     // of the process
	ExitCode  *int      `json:"exit_code,omitzero"`   // nil when no process ended by itself
	Cause     string    `json:"cause,omitzero"`       // a sentence, for failed and input_changed
	LastLines []string  `json:"last_lines,omitempty"` // of the process's output
	Log       string    `json:"log,omitzero"`         // failed, and LastLines are not all: the attempt of LogPath
	Lost      *Key      `json:"lost,omitzero"`        // the parent, for parent_lost
	At        time.Time `json:"at"`
}

// Limits of what an Event carries of a process's output, so that a queue takes it however JSON escapes it.
const (
	maxCauseBytes     = 4 << 10
	maxLastLinesBytes = 32 << 10
)

// Encode writes the event. A process may print anything and much: bytes that are not UTF-8 and the characters that SQS
// never takes become U+FFFD, and of LastLines the last 32 KiB are written, of Cause the first 4 KiB.
func (e Event) Encode() ([]byte, error) {
	e.Cause = toQueueText(e.Cause[:min(len(e.Cause), maxCauseBytes)])
	e.LastLines = lastBytes(e.LastLines, maxLastLinesBytes)
	data, err := encodeBody(e)
	if err != nil {
		return nil, fmt.Errorf("encode event of job %s: %w", e.Job, err)
	}
	return data, nil
}

// toQueueText makes any bytes a text that a queue takes once JSON has escaped its control characters.
func toQueueText(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\uFFFE' || r == '\uFFFF' {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// lastBytes returns the last lines that have at most so many bytes together, as text for a queue. Of the first of them it
// may be the end only.
func lastBytes(lines []string, most int) []string {
	var kept []string
	for _, line := range slices.Backward(lines) {
		if most <= 0 {
			break
		}
		line = toQueueText(line[max(0, len(line)-most):])
		kept = append(kept, line)
		most -= len(line) + 1
	}
	slices.Reverse(kept)
	return kept
}

// ParseEvent reads what Encode writes.
func ParseEvent(data []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, fmt.Errorf("parse event: %w", err)
	}
	switch {
	case e.V != MessageVersion:
		return Event{}, fmt.Errorf("parse event: version %d, this program knows %d", e.V, MessageVersion)
	case e.Key.IsZero():
		return Event{}, fmt.Errorf("parse event: it has no key")
	case e.Type == EventParentLost && e.Lost == nil:
		return Event{}, fmt.Errorf("parse event: parent_lost names no key")
	}
	switch e.Type {
	case EventSucceeded, EventFailed, EventParentLost, EventInputChanged, EventCancelled:
		return e, nil
	}
	return Event{}, fmt.Errorf("parse event: unknown type %q", e.Type)
}

// Submission asks the controller to take up a run whose run file lies in S3 at [SubmissionPath]. The same id twice is
// one run.
type Submission struct {
	V  int    `json:"v"`
	ID string `json:"id"`
	By string `json:"by,omitzero"` // who submits, as records show it
}

// Encode writes the submission.
func (s Submission) Encode() ([]byte, error) {
	data, err := encodeBody(s)
	if err != nil {
		return nil, fmt.Errorf("encode submission %s: %w", s.ID, err)
	}
	return data, nil
}

// ParseSubmission reads what Encode writes.
func ParseSubmission(data []byte) (Submission, error) {
	var s Submission
	if err := json.Unmarshal(data, &s); err != nil {
		return Submission{}, fmt.Errorf("parse submission: %w", err)
	}
	if s.V != MessageVersion {
		return Submission{}, fmt.Errorf("parse submission: version %d, this program knows %d", s.V, MessageVersion)
	}
	if err := CheckName(s.ID); err != nil {
		return Submission{}, fmt.Errorf("parse submission: %w", err)
	}
	return s, nil
}
