package job

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// jobLines is an endless file of job lines, cut off after some; it is made as it is read.
type jobLines struct {
	lines, next int
	rest        []byte
}

func (g *jobLines) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		if g.next == g.lines {
			return 0, io.EOF
		}
		g.rest = appendJobLine(g.rest[:0], g.next)
		g.next++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

func appendJobLine(line []byte, i int) []byte {
	line = fmt.Appendf(line, `{"id":"deal-%07d","task":"price-deal","params":{"layers":%d,"share":0.25},`+
		`"inputs":{"melt.csv":"s3://spate-data/elt/elt-%07d.csv"}`, i, i%7, i)
	if i > 0 && i%3 == 0 {
		line = fmt.Appendf(line, `,"needs":{"inuring":{"job":"deal-%07d","files":["splt.csv"]}}`, i/2)
	}
	return append(line, "}\n"...)
}

func readAll(r *Reader) (specs []Spec, err error) {
	for {
		spec, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return specs, nil
		case err != nil:
			return specs, err
		}
		specs = append(specs, spec)
	}
}

func TestJobsAreReadFromLines(t *testing.T) {
	const lines = "\ufeff" + `{"id":"deal-1","task":"price-deal"}` + "\r\n" + `

{"id":"deal-2","task":"combine","params":{"layers":3,"terms":[1.50,"\u00e9"]},
`
	const second = `{"id":"deal-2","task":"combine","params":{"layers":3,"terms":[1.50,"\u00e9"]},` +
		`"inputs":{"melt.csv":"s3://data/elt.csv","terms.json":{"url":"s3://data/t.json","sha256":"` + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" + `"}},` +
		`"needs":{"all":"deal-1","some":{"job":"deal-1","files":["b","a"]}},"labels":{"desk":"property"}}`
	in := strings.Replace(lines, `{"id":"deal-2","task":"combine","params":{"layers":3,"terms":[1.50,"\u00e9"]},`, second, 1)
	for name, reader := range map[string]io.Reader{
		"at once": strings.NewReader(in), "byte by byte": iotest.OneByteReader(strings.NewReader(in)),
		"without a last newline": strings.NewReader(strings.TrimRight(in, "\n")),
	} {
		got, err := readAll(NewReader("f", reader))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := []Spec{
			{ID: "deal-1", Task: "price-deal"},
			{
				ID: "deal-2", Task: "combine", Params: jsontext.Value(`{"layers":3,"terms":[1.50,"\u00e9"]}`),
				Inputs: map[string]Input{
					"melt.csv":   {URL: "s3://data/elt.csv"},
					"terms.json": {URL: "s3://data/t.json", SHA256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
				},
				Needs:  map[string]Need{"all": {Job: "deal-1"}, "some": {Job: "deal-1", Files: []string{"a", "b"}}},
				Labels: map[string]string{"desk": "property"},
			},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Spec{})); diff != "" {
			t.Errorf("%s: jobs (-want +got):\n%s", name, diff)
		}
		if got[1].Line() != 4 {
			t.Errorf("%s: the second job is on line %d, want 4", name, got[1].Line())
		}
	}
}

func TestAReaderGoesOnBehindABadLine(t *testing.T) {
	r := NewReader("f", strings.NewReader("{\"id\":\"a\",\"task\":7}\nnonsense\n{\"id\":\"b\",\"task\":\"t\"}\n"))
	spec, err := r.Next()
	if spec.ID != "a" || err == nil || err.Error() != "f:1:18: task: want a string, have a number: put quotes around it" {
		t.Errorf("first line: %q, %v", spec.ID, err)
	}
	if _, err := r.Next(); err == nil || !strings.HasPrefix(err.Error(), "f:2:") {
		t.Errorf("second line: %v", err)
	}
	if spec, err := r.Next(); err != nil || spec.ID != "b" {
		t.Errorf("third line: %q, %v", spec.ID, err)
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	}
}

func TestAFileThatCannotBeReadIsNotTakenForItsEnd(t *testing.T) {
	broken := errors.New("connection reset")
	r := NewReader("s3://data/jobs.jsonl", io.MultiReader(strings.NewReader("{\"id\":\"a\",\"task\":\"t\"}\n{\"id\":"), iotest.ErrReader(broken)))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	_, err := r.Next()
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "s3://data/jobs.jsonl") {
		t.Errorf("error %v, want one that names the file and %v", err, broken)
	}
}

func TestALineMayBeAsLongAsTheLimit(t *testing.T) {
	const head, tail = `{"id":"a","task":"t","params":{"x":"`, `"}}`
	line := head + strings.Repeat("x", MaxLineBytes-len(head)-len(tail)) + tail
	for _, end := range []string{"", "\n", "\r\n"} {
		if specs, err := readAll(NewReader("f", strings.NewReader(line+end))); err != nil || len(specs) != 1 {
			t.Errorf("end %q: %d jobs, %v", end, len(specs), err)
		}
	}
	if _, err := readAll(NewReader("f", strings.NewReader(" "+line))); err == nil {
		t.Error("a line one byte longer was read")
	}
}

func TestTheReadersMemoryDoesNotGrowWithTheFile(t *testing.T) {
	many := 200_000
	if testing.Short() {
		many = 50_000
	}
	inUse := func(lines int) uint64 {
		r := NewReader("f", &jobLines{lines: lines})
		for range lines {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		runtime.KeepAlive(r)
		return m.HeapAlloc
	}
	few, all := inUse(10_000), inUse(many)
	if grown := int64(all) - int64(few); grown > 1<<20 {
		t.Errorf("%d bytes in use after 10,000 lines, %d after %d", few, all, many)
	}
}

func BenchmarkReader(b *testing.B) {
	var lines []byte
	for i := range 10_000 {
		lines = appendJobLine(lines, i)
	}
	b.SetBytes(int64(len(lines) / 10_000))
	b.ReportAllocs()
	r := NewReader("f", bytes.NewReader(lines))
	for b.Loop() {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			r = NewReader("f", bytes.NewReader(lines))
		} else if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkCheckAMillionJobs reads and checks a million jobs an operation: its metrics are what a run's size costs.
func BenchmarkCheckAMillionJobs(b *testing.B) {
	const jobs = 1_000_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		errs := &Errors{}
		c := NewChecker("f", testCatalogue(), errs)
		r := NewReader("f", &jobLines{lines: jobs})
		for {
			spec, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			c.Add(spec, spec.Params)
		}
		order := c.Finish()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if err := errs.Err(); err != nil || len(order) != jobs {
			b.Fatalf("%d jobs in order, %v", len(order), err)
		}
		runtime.KeepAlive(c)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/jobs, "bytes/job")
	b.ReportMetric(float64(b.N)*jobs/b.Elapsed().Seconds(), "jobs/s")
}

func BenchmarkDocumentKey(b *testing.B) {
	doc := fullDocument()
	b.ReportAllocs()
	for b.Loop() {
		mustKey(b, doc)
	}
}
