package planner

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"spate/job"
)

// generated is a run of deals, of which each tenth inures to the benefit of the next, and of the buckets and the root
// that add them up.
func generated(jobs int) []byte {
	const perBucket = 100
	var b bytes.Buffer
	buckets := jobs / (perBucket + 1)
	deals := jobs - buckets - 1
	for i := range deals {
		needs := ""
		if i%10 == 9 {
			needs = fmt.Sprintf(`,"needs":{"inuring":{"job":"deal-%07d","files":["splt.csv"]}}`, i-1)
		}
		fmt.Fprintf(&b, `{"id":"deal-%07d","task":"price","params":{"attachment":%d,"limit":50,"share":0.25,"seed":%d}%s}`+"\n", i, i%40, i, needs)
	}
	for i := range buckets {
		fmt.Fprintf(&b, `{"id":"bucket-%05d","task":"price","params":{"n":%d},"needs":{`, i, i)
		for k, first := i, true; k < deals; k, first = k+buckets, false {
			if !first {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"d%07d":"deal-%07d"`, k, k)
		}
		b.WriteString("}}\n")
	}
	fmt.Fprintf(&b, `{"id":"root","task":"price","needs":{`)
	for i := range min(buckets, 1000) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"b%05d":"bucket-%05d"`, i, i)
	}
	b.WriteString("}}\n")
	return b.Bytes()
}

// plannedWorld has a generated run in S3, and a planner that is not running.
func plannedWorld(b *testing.B, jobs int) (*world, *Planner, *Run) {
	b.Helper()
	w := newWorld(b)
	w.put("jobs.jsonl", string(generated(jobs)))
	w.put(job.SubmissionPath("run"), fromS3)
	p, err := New(w.options(1, nil))
	if err != nil {
		b.Fatal(err)
	}
	r := &Run{ID: "run", State: job.RunReceived, Received: time.Now()}
	if created, err := p.store.create(b.Context(), r); err != nil || !created {
		b.Fatal(created, err)
	}
	p.Outputs = knowsNothing{w.outputs}
	return w, p, r
}

// knowsNothing answers at once, so that what is measured is the planner.
type knowsNothing struct{ *fakeOutputs }

func (knowsNothing) Lookup(_ context.Context, keys []job.Key) []job.Presence {
	return make([]job.Presence, len(keys))
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkPlan(b *testing.B) {
	for _, jobs := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(jobs), func(b *testing.B) {
			_, p, r := plannedWorld(b, jobs)
			a, err := p.plan(b.Context(), r) // once before, so that what lies in S3 counts for nothing
			if err != nil {
				b.Fatal(err)
			}
			a.spool.close()
			a = nil
			before := heap()
			for b.Loop() {
				if a != nil {
					a.spool.close()
				}
				if a, err = p.plan(b.Context(), r); err == nil {
					err = p.resolve(b.Context(), a, nil)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(jobs)*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			b.ReportMetric(float64(heap()-before)/float64(jobs), "heap-B/job")
			if err := a.spool.close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkRestart loads a run of which everything that was ready had been sent.
func BenchmarkRestart(b *testing.B) {
	for _, jobs := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(jobs), func(b *testing.B) {
			w, p, r := plannedWorld(b, jobs)
			a, err := p.plan(b.Context(), r)
			if err == nil {
				err = p.resolve(b.Context(), a, nil)
			}
			if err != nil {
				b.Fatal(err)
			}
			r.State = job.RunActive
			p.pools[testPool].Jobs = nowhere{}
			for more := true; more; {
				if more, err = p.flush(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
			if err := a.spool.close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				p.flights = map[flightKey]*flight{}
				loaded, h, err := p.load(b.Context(), r)
				if err != nil {
					b.Fatal(err)
				}
				p.replay(loaded, h)
				if got, want := loaded.graph.Outstanding(), a.graph.Outstanding(); got != want || len(loaded.unsent) != 0 {
					b.Fatalf("%d outstanding, want %d; %d releases unsent", got, want, len(loaded.unsent))
				}
				loaded.spool.close()
			}
			b.ReportMetric(float64(jobs)*float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			w.stop()
		})
	}
}

// nowhere takes all messages and keeps none.
type nowhere struct{ JobQueue }

func (nowhere) Send(context.Context, ...string) error { return nil }
