package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"spate/internal/objects"
	"spate/internal/queue"
)

// JobQueue is where jobs come from: at least once, unordered. A message that is neither deleted nor extended comes
// again. It must be safe for concurrent use. *queue.Queue is one.
type JobQueue interface {
	// Receive waits up to wait for up to limit messages and hides them for the visibility timeout.
	Receive(ctx context.Context, limit int, wait, visibility time.Duration) ([]queue.Message, error)
	// Delete removes messages for good. A receipt that is no longer valid is no error.
	Delete(ctx context.Context, receipts ...string) error
	// Extend hides a message for d from now on; 0 gives it back at once.
	Extend(ctx context.Context, receipt string, d time.Duration) error
	// Send puts messages on the queue. A nil error means that it has all of them durably; after an error it may or may
	// not.
	Send(ctx context.Context, bodies ...string) error
}

// EventQueue takes job events. A nil error means that the queue has all of them durably; after an error it may or may
// not. It must be safe for concurrent use. *queue.Queue is one.
type EventQueue interface {
	Send(ctx context.Context, bodies ...string) error
}

// ObjectReader reads one bucket. Errors are [objects.ErrNotFound], [objects.ErrPrecondition], or failures that may pass.
// It must be safe for concurrent use. *objects.Store is one.
type ObjectReader interface {
	Open(ctx context.Context, key string, c objects.Condition) (io.ReadCloser, objects.Info, error)
}

// ObjectStore is the bucket of outputs: strongly consistent, with conditional writes. After an error other than
// [objects.ErrPrecondition] a write may have happened. It must be safe for concurrent use. *objects.Store is one.
type ObjectStore interface {
	ObjectReader
	Get(ctx context.Context, key string) ([]byte, objects.Info, error)
	Put(ctx context.Context, key string, data []byte, c objects.Condition) (etag string, err error)
	PutStream(ctx context.Context, key string, body io.ReadSeeker, size int64) (etag string, err error)
	Delete(ctx context.Context, key string, c objects.Condition) error
}

// Options are what a worker needs.
type Options struct {
	Jobs    JobQueue
	Events  EventQueue
	Objects ObjectStore                      // the bucket of outputs
	Inputs  func(bucket string) ObjectReader // any bucket that holds inputs

	Identity Identity
	Pool     string    // whose mark says that it is drained; "" looks for none
	Launched time.Time // when its task was asked for; the zero value is now
	External bool      // other producers than Spate fill Jobs: what fails goes back to it

	Slots       int           // jobs at a time, at least 1
	IdleTimeout time.Duration // without a message, after which the worker leaves
	Visibility  time.Duration // for which a message is hidden; renewed every third of it; 3s to 12h
	Retention   time.Duration // after which an output counts as absent
	StopGrace   time.Duration // that running jobs have left when the worker is told to stop

	WorkDir string // where the worker makes its directory; "" is the system's for temporary files
	Path    string // PATH of the jobs' processes, and where commands are looked up

	Log        zerolog.Logger
	Registerer prometheus.Registerer
}

// Bounds of a visibility timeout: whole seconds, of which the heartbeat takes a third; and the longest that SQS allows
// (Amazon SQS quotas).
const (
	minVisibility = 3 * time.Second
	maxVisibility = 12 * time.Hour
)

func (o *Options) validate() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(o.Jobs != nil, "no job queue")
	need(o.Events != nil, "no event queue")
	need(o.Objects != nil, "no object store")
	need(o.Inputs != nil, "no object store for inputs")
	need(o.Registerer != nil, "no metrics registerer")
	need(o.Identity.Image != "", "no image in the identity")
	need(o.Identity.TaskARN != "", "no task ARN in the identity")
	need(o.Slots >= 1, "%d slots, want at least 1", o.Slots)
	need(o.IdleTimeout > 0, "idle timeout %s, want more than 0", o.IdleTimeout)
	need(o.Visibility >= minVisibility && o.Visibility <= maxVisibility, "visibility timeout %s, want %s to %s", o.Visibility, minVisibility, maxVisibility)
	need(o.Retention > 0, "retention %s, want more than 0", o.Retention)
	need(o.StopGrace >= 0, "stop grace %s, want 0 or more", o.StopGrace)
	return errors.Join(errs...)
}
