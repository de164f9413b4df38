package planner

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"spate/job"
)

// benchSizes are how many jobs the planned runs have; -bench 'Plan/jobs=1000000' chooses one.
var benchSizes = []int{10_000, 100_000, 1_000_000}

// generate writes a run of deals, of which each tenth inures to the benefit of the next, and of the buckets and the root
// that add them up.
func generate(out io.Writer, jobs int) error {
	const perBucket = 100
	b := bufio.NewWriterSize(out, 1<<20)
	buckets := jobs / (perBucket + 1)
	deals := jobs - buckets - 1
	for i := range deals {
		needs := ""
		if i%10 == 9 {
			needs = fmt.Sprintf(`,"needs":{"inuring":{"job":"deal-%07d","files":["splt.csv"]}}`, i-1)
		}
		fmt.Fprintf(b, `{"id":"deal-%07d","task":"price","params":{"attachment":%d,"limit":50,"share":0.25,"seed":%d}%s}`+"\n", i, i%40, i, needs)
	}
	for i := range buckets {
		fmt.Fprintf(b, `{"id":"bucket-%05d","task":"price","params":{"n":%d},"needs":{`, i, i)
		for k, first := i, true; k < deals; k, first = k+buckets, false {
			if !first {
				fmt.Fprint(b, ",")
			}
			fmt.Fprintf(b, `"d%07d":"deal-%07d"`, k, k)
		}
		fmt.Fprint(b, "}}\n")
	}
	fmt.Fprintf(b, `{"id":"root","task":"price","needs":{`)
	for i := range min(buckets, 1000) {
		if i > 0 {
			fmt.Fprint(b, ",")
		}
		fmt.Fprintf(b, `"b%05d":"bucket-%05d"`, i, i)
	}
	fmt.Fprint(b, "}}\n")
	return b.Flush()
}

// independent writes the manifest of a run whose jobs need nothing of one another.
func independent(out io.Writer, jobs int) error {
	b := bufio.NewWriterSize(out, 1<<20)
	for i := range jobs {
		fmt.Fprintf(b, `{"id":"deal-%07d","task":"price","params":{"n":%d}}`+"\n", i, i)
	}
	return b.Flush()
}

// plannedWorld has a generated run in S3, and a planner that is not running. Its services are in another process.
func plannedWorld(b *testing.B, jobs int, generate func(out io.Writer, jobs int) error) (*world, *Planner, *Run) {
	b.Helper()
	w := (&world{t: b, remote: startSandbox(b)}).open()
	file, err := os.Create(filepath.Join(b.TempDir(), "jobs.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if err := generate(file, jobs); err != nil {
		b.Fatal(err)
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = w.bucket.PutStream(b.Context(), "jobs.jsonl", file, size)
	}
	if err != nil {
		b.Fatal(err)
	}
	w.put(job.SubmissionPath("run"), fromS3)
	p, err := New(w.options(1, nil))
	if err != nil {
		b.Fatal(err)
	}
	r := &Run{ID: "run", State: job.RunReceived, Received: time.Now()}
	if created, err := p.store.create(b.Context(), r); err != nil || !created {
		b.Fatal(created, err)
	}
	p.Outputs = knowsAtRandom{w.outputs, 0}
	return w, p, r
}

// knowsAtRandom answers at once, so that what is measured is the planner. It knows a share of all outputs.
type knowsAtRandom struct {
	*fakeOutputs
	percent uint64
}

func (k knowsAtRandom) Lookup(_ context.Context, keys []job.Key) []job.Presence {
	presence := make([]job.Presence, len(keys))
	for i, key := range keys {
		presence[i] = job.Miss
		if key.Hash()%100 < k.percent {
			presence[i] = job.Hit
		}
	}
	return presence
}

// BenchmarkPlan plans a run: from its submission in S3 to a graph whose first jobs could be released, with all keys
// derived and the normalised manifest stored in S3.
func BenchmarkPlan(b *testing.B) {
	for _, jobs := range benchSizes {
		b.Run(fmt.Sprintf("jobs=%d", jobs), func(b *testing.B) {
			_, p, r := plannedWorld(b, jobs, generate)
			peak := watchMemory(b)
			for b.Loop() {
				a, err := p.plan(b.Context(), r)
				if err == nil {
					err = p.resolve(b.Context(), a, nil)
				}
				if err != nil {
					b.Fatal(err)
				}
				if got := a.graph.Jobs(); got != jobs {
					b.Fatalf("planned %d jobs, want %d", got, jobs)
				}
				a.spool.close()
			}
			peak.report(b, jobs)
		})
	}
}

// BenchmarkRestart loads a run that another planner left: all that could be was released, nine of ten outputs exist, and
// of the rest S3 says that they do not.
func BenchmarkRestart(b *testing.B) {
	const done = 90 // percent
	for _, jobs := range benchSizes {
		b.Run(fmt.Sprintf("jobs=%d/done=%d%%", jobs, done), func(b *testing.B) {
			w, p, r := plannedWorld(b, jobs, generate)
			releaseAll(b, p, r)
			p.Outputs = knowsAtRandom{w.outputs, done}
			peak := watchMemory(b)
			for b.Loop() {
				p.shared = map[flight][]flight{}
				a, h, err := p.load(b.Context(), r)
				if err != nil {
					b.Fatal(err)
				}
				p.replay(a, h)
				if have := a.progress(0); have.Done < jobs*(done-1)/100 || have.Queued < jobs*(99-done)/100 {
					b.Fatalf("progress %+v, want %d%% of %d jobs done and the rest queued", have, done, jobs)
				}
				a.spool.close()
			}
			peak.report(b, jobs)
			w.stop()
		})
	}
}

// BenchmarkOutstanding plans a run without dependencies and releases all of its jobs to a queue that nobody works on: what
// is held then is held for the night.
func BenchmarkOutstanding(b *testing.B) {
	for _, jobs := range benchSizes {
		b.Run(fmt.Sprintf("jobs=%d", jobs), func(b *testing.B) {
			_, p, r := plannedWorld(b, jobs, independent)
			p.pools[testPool].Jobs = nowhere{p.pools[testPool].Jobs}
			peak := watchMemory(b)
			for b.Loop() {
				a, err := p.plan(b.Context(), r)
				if err == nil {
					err = p.resolve(b.Context(), a, nil)
				}
				for more := true; more && err == nil; {
					more, err = p.flush(b.Context(), a)
				}
				if err != nil {
					b.Fatal(err)
				}
				if out := a.graph.Outstanding(); out != jobs {
					b.Fatalf("%d jobs are out, want %d", out, jobs)
				}
				a.spool.close()
			}
			peak.report(b, jobs)
		})
	}
}

// releaseAll plans the run and releases all of its jobs, as if each were done at once.
func releaseAll(b *testing.B, p *Planner, r *Run) {
	b.Helper()
	a, err := p.plan(b.Context(), r)
	if err == nil {
		err = p.resolve(b.Context(), a, nil)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer a.spool.close()
	r.State = job.RunActive
	queue := p.pools[testPool].Jobs
	p.pools[testPool].Jobs = nowhere{queue}
	for !a.graph.Settled() {
		if _, err := p.flush(b.Context(), a); err != nil {
			b.Fatal(err)
		}
		for n := range int32(a.graph.Nodes()) {
			if a.graph.State(n) == job.Queued {
				p.done(a, n)
			}
		}
	}
	p.pools[testPool].Jobs = queue
	p.recent.done = nil
}

// nowhere takes all messages and keeps none.
type nowhere struct{ JobQueue }

func (nowhere) Send(context.Context, ...string) error { return nil }
