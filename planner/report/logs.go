package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"spate/internal/objects"
	"spate/job"
	"spate/planner"
)

// Log is what an attempt at a job printed.
type Log struct {
	Run       string    `json:"run"` // in which the job was found
	Job       string    `json:"job"`
	Key       job.Key   `json:"key"`
	Attempt   int       `json:"attempt"`
	Succeeded bool      `json:"succeeded"`
	Cause     string    `json:"cause,omitzero"`     // why it failed
	MadeBy    string    `json:"made_by"`            // the run that the attempt was made for
	StandsIn  bool      `json:"stands_in,omitzero"` // the attempt made the output that stands in for the job's own
	At        time.Time `json:"at"`                 // when it had ended
	Seconds   float64   `json:"seconds"`            // that it took; 0 when that is not known
	Text      string    `json:"text"`               //
	Missing   string    `json:"missing,omitzero"`   // why the text is not all that was printed
}

// NoLogError says why there is nothing that a job printed.
type NoLogError struct{ Job, Run, Why string }

// Error says which job, and why.
func (e *NoLogError) Error() string { return fmt.Sprintf("job %s of run %s %s", e.Job, e.Run, e.Why) }

// Log reads what a job printed: at the attempt of that number, or with 0 at the one that made its output, else at the
// last that failed. Where another output stands in for the job's, 0 means the attempt that made that one, and numbers mean
// the job's own. *NoLogError: there is none.
func (r *Reader) Log(ctx context.Context, now time.Time, found *Found, attempt int) (*Log, error) {
	own := found.Job.Key
	if found.Job.Substituted != nil {
		own = found.Job.Substituted.For
	}
	failures, err := planner.ReadFailuresOf(ctx, r.Table, found.Run.ID, own)
	if err != nil {
		return nil, err
	}
	manifest, err := r.manifest(ctx, found.Job.Key)
	if err != nil && !errors.Is(err, objects.ErrNotFound) {
		return nil, err
	}
	made := manifest != nil && own == found.Job.Key && attempt == attemptNumber(manifest.Attempt)
	if manifest != nil && attempt == 0 || made && manifest.Run == found.Run.ID {
		return r.succeeded(ctx, found, manifest)
	}
	for _, failure := range slices.Backward(failures) {
		if attempt == 0 || attempt == failure.Attempt {
			return r.failed(ctx, found, own, failure)
		}
	}
	if made { // for another run
		return r.succeeded(ctx, found, manifest)
	}
	no := &NoLogError{Job: found.Job.ID, Run: found.Run.ID}
	switch {
	case manifest != nil || len(failures) > 0:
		no.Why = fmt.Sprintf("had no attempt %d", attempt)
	case found.Run.State.Ended():
		no.Why = "was never started"
	default:
		if no.Why, err = r.waits(ctx, now, found.Job); err != nil {
			return nil, err
		}
	}
	return nil, no
}

// attemptNumber is that of an attempt's directory, such as 2 of "a2-0011223344556677"; 0 when there is none in it.
func attemptNumber(attempt string) int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(attempt, "a"), "-")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

func (r *Reader) succeeded(ctx context.Context, found *Found, m *job.Manifest) (*Log, error) {
	log := &Log{
		Run: found.Run.ID, Job: found.Job.ID, Key: found.Job.Key, Attempt: attemptNumber(m.Attempt), Succeeded: true,
		MadeBy: m.Run, At: m.At, Seconds: m.Seconds, Text: m.Log, StandsIn: found.Job.Substituted != nil,
	}
	if m.LogBytes == 0 {
		return log, nil
	}
	return log, r.object(ctx, log, m.Attempt)
}

func (r *Reader) failed(ctx context.Context, found *Found, own job.Key, f planner.Failure) (*Log, error) {
	log := &Log{
		Run: found.Run.ID, Job: found.Job.ID, Key: own, Attempt: f.Attempt, Cause: f.Cause, MadeBy: found.Run.ID, At: f.At,
	}
	if len(f.LastLines) > 0 {
		log.Text = strings.Join(f.LastLines, "\n") + "\n"
	}
	if f.Log == "" {
		return log, nil
	}
	return log, r.object(ctx, log, f.Log)
}

// object reads what lies at LogPath. Where it is gone, the log keeps the text that it has.
func (r *Reader) object(ctx context.Context, log *Log, attempt string) error {
	body, _, err := r.Objects.Open(ctx, job.LogPath(log.Key, attempt), objects.Condition{})
	if errors.Is(err, objects.ErrNotFound) {
		log.Missing = "the rest has been removed from the bucket"
		return nil
	}
	if err != nil {
		return fmt.Errorf("read log of job %s: %w", log.Job, err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read log of job %s: %w", log.Job, err)
	}
	log.Text = strings.ToValidUTF8(string(text), "�")
	return nil
}

// waits says where a job stands that no attempt at has ended.
func (r *Reader) waits(ctx context.Context, now time.Time, planned job.Planned) (string, error) {
	keys := make([]job.Key, 0, len(planned.Needs))
	for _, need := range planned.Needs {
		keys = append(keys, need.Key)
	}
	presence, err := r.Outputs.Lookup(ctx, now, keys)
	if err != nil {
		return "", fmt.Errorf("look for parents' outputs: %w", err)
	}
	for _, p := range presence {
		if p != job.Hit {
			return "waits for its parents", nil
		}
	}
	return "is queued or running: what it prints is kept when it has ended", nil
}
