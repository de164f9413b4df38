package planner

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"strings"
	"testing"
	"time"
)

// sandboxProcess names the variable that makes the test binary the sandbox of a benchmark: in a process of its own, so
// that what it holds is not taken for the planner's memory.
const sandboxProcess = "SPATE_BENCH_SANDBOX"

// serveSandbox serves the services on a free port, whose address it prints, until its standard input ends.
func serveSandbox() error {
	handler, err := newServices()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startSandbox starts the services in another process and returns their endpoint.
func startSandbox(b *testing.B) string {
	b.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), sandboxProcess+"=1")
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		if err := child.Wait(); err != nil {
			b.Error(err)
		}
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(address)
}

// memory samples how much this process uses: the heap with its garbage, and what the system gave the process.
type memory struct {
	stop    chan struct{}
	heaps   chan uint64
	cpu, gc float64 // seconds when it began
}

const heapObjects = "/memory/classes/heap/objects:bytes"

// collecting is the processor time that this process has had so far, and what of that went into collecting garbage, in
// seconds. What the collector did while nothing else wanted the processor is in neither.
func collecting() (cpu, gc float64) {
	samples := []runtimemetrics.Sample{
		{Name: "/cpu/classes/user:cpu-seconds"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"},
	}
	runtimemetrics.Read(samples)
	gc = samples[1].Value.Float64() - samples[2].Value.Float64()
	return samples[0].Value.Float64() + gc, gc
}

// watchMemory begins to watch, with no garbage about.
func watchMemory(b *testing.B) *memory {
	b.Helper()
	if percent := debug.SetGCPercent(GCPercent); percent != GCPercent {
		b.Cleanup(func() { debug.SetGCPercent(percent) })
	}
	debug.FreeOSMemory()
	// Linux: the high-water mark of resident memory begins anew.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	m := &memory{stop: make(chan struct{}), heaps: make(chan uint64)}
	m.cpu, m.gc = collecting()
	go func() {
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		sample := []runtimemetrics.Sample{{Name: heapObjects}}
		var most uint64
		for {
			runtimemetrics.Read(sample)
			most = max(most, sample[0].Value.Uint64())
			select {
			case <-m.stop:
				m.heaps <- most
				return
			case <-ticker.C:
			}
		}
	}()
	return m
}

// report ends the watch and reports the high-water marks in MB of 10⁶ bytes, with the processor time, the collector's share of it, and the
// jobs planned a second.
func (m *memory) report(b *testing.B, jobs int) {
	b.Helper()
	seconds := b.Elapsed().Seconds()
	close(m.stop)
	b.ReportMetric(float64(<-m.heaps)/1e6, "peak-heap-MB")
	if resident, ok := peakResident(); ok {
		b.ReportMetric(float64(resident)/1e6, "peak-RSS-MB")
	}
	runtime.GC() // which is when the runtime counts
	cpu, gc := collecting()
	b.ReportMetric(100*(gc-m.gc)/(cpu-m.cpu), "gc-%")
	b.ReportMetric((cpu-m.cpu)/float64(b.N), "cpu-s/run")
	b.ReportMetric(float64(jobs)*float64(b.N)/seconds, "jobs/s")
	b.ReportMetric(seconds/float64(b.N), "s/run")
}

// peakResident is the high-water mark of this process's resident memory in bytes, on Linux.
func peakResident() (int64, bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(status)) {
		var kB int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kB); n == 1 {
			return kB << 10, true
		}
	}
	return 0, false
}
