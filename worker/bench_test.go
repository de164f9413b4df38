package worker

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"spate/job"
)

const (
	thisImage = "sha256:1111"
	taskARN   = "arn:aws:ecs:us-east-1:123456789012:task/hpc/0123456789abcdef"
	retention = 30 * 24 * time.Hour
)

// bench is the world around a worker.
type bench struct {
	t      *testing.T
	queue  *fakeQueue
	events *fakeEvents
	store  *fakeStore
	dir    string

	timeout time.Duration // of jobs that have none of their own
}

// newBench makes an empty world that checks the order of things: a success is told when the manifest exists, and a message
// is deleted when an event, or its copy, was accepted.
func newBench(t *testing.T) *bench {
	b := &bench{t: t, queue: newFakeQueue(t), events: &fakeEvents{t: t}, store: newFakeStore(t), dir: t.TempDir(), timeout: time.Minute}
	b.queue.patience = 5 * time.Millisecond
	b.events.onEvent = func(e job.Event) {
		if _, ok := b.store.read(job.ManifestPath(e.Key)); e.Type == job.EventSucceeded && !ok {
			t.Errorf("job %s was told to have succeeded before its manifest exists", e.Job)
		}
	}
	b.queue.onDelete = func(body string) {
		m, doc, err := job.ParseMessage([]byte(body))
		if err != nil {
			t.Errorf("an unreadable message was deleted: %v", err)
		}
		if doc.Spec.Image != thisImage {
			if !slices.ContainsFunc(b.queue.left(), func(m fakeMessage) bool { return m.body == body }) {
				t.Errorf("the message of job %s, for another image, was deleted before its copy was taken", m.Job)
			}
			return
		}
		if !slices.ContainsFunc(b.events.all(), func(e job.Event) bool { return e.Key == m.Key }) {
			t.Errorf("the message of job %s was deleted before an event was accepted", m.Job)
		}
	}
	return b
}

func (b *bench) worker(change func(*Options)) *Worker {
	b.t.Helper()
	o := Options{
		Jobs: b.queue, Events: b.events, Objects: b.store, Inputs: func(string) ObjectReader { return b.store },
		Identity: Identity{TaskARN: taskARN, Image: thisImage},
		Slots:    1, IdleTimeout: time.Millisecond, Visibility: 30 * time.Second, Retention: retention, StopGrace: time.Minute,
		WorkDir: b.dir, Path: "/usr/bin:/bin", Log: zerolog.New(zerolog.NewTestWriter(b.t)), Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&o)
	}
	w, err := New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	return w
}

// work runs a worker until it leaves by itself and checks that it left nothing on disk.
func (b *bench) work(w *Worker) Reason {
	b.t.Helper()
	reason, err := w.Run(b.t.Context())
	if err != nil {
		b.t.Errorf("worker: %v", err)
	}
	b.checkClean()
	return reason
}

func (b *bench) checkClean() {
	b.t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range entries {
		b.t.Errorf("the worker left %s behind", e.Name())
	}
}

// order is a job to be queued.
type order struct {
	name   string
	doc    job.Document
	inputs map[string]string
	after  time.Duration // timeout; 0 is the bench's
}

// orderOf is a job that runs one of the test's programs.
func orderOf(name string, program ...string) *order {
	return &order{name: name, doc: job.Document{Spec: job.SpecDocument{
		V: job.DocumentVersion, Namespace: "default", Image: thisImage, Platform: "linux/amd64",
		Task:   job.TaskDocument{Name: "test", Command: program, InputDir: "in", OutputDirs: []string{"out"}},
		Params: jsontext.Value(`{"job":"` + name + `"}`), Inputs: map[string]job.InputIdentity{}, Env: map[string]string{},
	}, Parents: map[string]job.ParentOutputs{}}}
}

// prog is the command line of one of the test's programs.
func prog(args ...string) []string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{self, "program"}, args...)
}

func (b *bench) message(o *order) job.Message {
	b.t.Helper()
	canonical, err := o.doc.Canonical()
	if err != nil {
		b.t.Fatal(err)
	}
	key, err := o.doc.Key()
	if err != nil {
		b.t.Fatal(err)
	}
	if o.after == 0 {
		o.after = b.timeout
	}
	return job.Message{
		V: job.MessageVersion, Run: "run-1", Job: o.name, Key: key, Document: canonical, Inputs: o.inputs,
		Attempt: 1, Timeout: job.Duration(o.after),
	}
}

// enqueue puts the job on the queue and returns its key.
func (b *bench) enqueue(o *order) job.Key {
	b.t.Helper()
	m := b.message(o)
	body, err := m.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	b.queue.put(string(body))
	return m.Key
}

// standing names the output that stands at a key.
func (b *bench) standing(key job.Key) job.Replaced {
	b.t.Helper()
	data, info, err := b.store.Get(b.t.Context(), job.ManifestPath(key))
	if err != nil {
		b.t.Fatal(err)
	}
	return job.Standing(key, info.ETag, data)
}

// output returns the manifest and the files of a key by path, or nil.
func (b *bench) output(key job.Key) (*job.Manifest, map[string]string) {
	b.t.Helper()
	data, ok := b.store.read(job.ManifestPath(key))
	if !ok {
		return nil, nil
	}
	m, err := job.ParseManifest(data, key)
	if err != nil {
		b.t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range m.Files {
		content, ok := b.store.read(m.Object(f))
		if !ok || digest(content) != f.SHA256 {
			b.t.Errorf("file %q of the output is not what the manifest says", f.Path)
		}
		files[f.Path] = string(content)
	}
	return m, files
}

// publishParent makes an output as an earlier job would have.
func (b *bench) publishParent(key job.Key, age time.Duration, files map[string]string) *job.Manifest {
	b.t.Helper()
	m := &job.Manifest{V: job.MessageVersion, Key: key, Attempt: "a1-parent", Image: thisImage, Document: jsontext.Value(`{}`)}
	for path, content := range files {
		f := job.File{Path: path, Size: int64(len(content)), SHA256: digest([]byte(content))}
		m.Files = append(m.Files, f)
		b.store.put(m.Object(f), []byte(content), time.Now().Add(-age))
	}
	data, err := m.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	b.store.put(job.ManifestPath(key), data, time.Now().Add(-age))
	return m
}

// onlyEvent returns the one event there must be.
func (b *bench) onlyEvent() job.Event {
	b.t.Helper()
	events := b.events.all()
	if len(events) != 1 {
		b.t.Fatalf("have %d events, want one: %+v", len(events), events)
	}
	return events[0]
}

func (b *bench) checkEmpty() {
	b.t.Helper()
	if left := b.queue.left(); len(left) > 0 {
		b.t.Errorf("%d messages are left on the queue", len(left))
	}
}

// until waits for a condition that comes about by itself.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited too long for %s", what)
		case <-tick.C:
		}
	}
}
