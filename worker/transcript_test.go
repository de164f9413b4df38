package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spate/job"
)

func TestATranscriptKeepsBeginningAndEndOfWhatIsPrinted(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		path := filepath.Join(dir, "log")
		log := &transcript{path: path, head: int64(rapid.IntRange(1, 9000).Draw(r, "head")), tail: int64(rapid.IntRange(1, 50).Draw(r, "tail"))}
		var all []byte
		for i, n := range rapid.SliceOf(rapid.IntRange(0, 6000)).Draw(r, "writes") {
			part := []byte(strings.Repeat(string(rune('a'+i%26)), n))
			if i%2 == 1 {
				part = []byte(fmt.Sprint(n))
			}
			all = append(all, part...)
			if written, err := log.Write(part); written != len(part) || err != nil {
				r.Fatalf("Write: %d, %v", written, err)
			}
		}
		body, err := log.reader()
		if err != nil {
			r.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if err != nil {
			r.Fatal(err)
		}
		want := string(all)
		if cut := int64(len(all)) - log.head - log.tail; len(all) > logInline && cut > 0 {
			want = string(all[:log.head]) + fmt.Sprintf("\n[… %d bytes are left out here …]\n", cut) + string(all[int64(len(all))-log.tail:])
		}
		if string(got) != want {
			r.Fatalf("%d bytes printed: kept %q, want %q", len(all), got, want)
		}
		if log.isShort() != (len(all) <= logInline) || log.isShort() && log.text() != want {
			r.Fatalf("short: %t, with %d bytes", log.isShort(), len(all))
		}
		log.close()
		if _, err := os.Stat(path); err == nil {
			r.Fatal("its file is left")
		}
	})
}

func TestWhatAJobPrintsIsKept(t *testing.T) {
	b := newBench(t)
	short := b.enqueue(orderOf("short", prog("exit", "0", "one", "two")...))
	long := b.enqueue(orderOf("long", prog("many-lines", "0")...))
	b.enqueue(orderOf("failing", prog("exit", "3", "one", "two")...))
	lengthy := b.enqueue(orderOf("lengthy", append(prog("exit", "3"), strings.Split(strings.Repeat("x ", keptLines)+"end", " ")...)...))
	w := b.worker(nil)
	b.work(w)

	if m, _ := b.output(short); m.Log != "one\ntwo\n" || m.LogBytes != 0 {
		t.Errorf("of short output the manifest holds %q and %d bytes elsewhere", m.Log, m.LogBytes)
	}
	m, _ := b.output(long)
	data, ok := b.store.read(job.LogPath(long, m.Attempt))
	if m.Log != "" || !ok || m.LogBytes != int64(len(data)) || !strings.HasPrefix(string(data), "line 0\n") || !strings.HasSuffix(string(data), "line 999\n") {
		t.Errorf("of long output the manifest holds %q, says that there are %d bytes, and there are %d", m.Log, m.LogBytes, len(data))
	}
	for _, event := range b.events.all() {
		data, _ := b.store.read(job.LogPath(event.Key, event.Log))
		want := ""
		if event.Key == lengthy {
			want = strings.Repeat("x\n", keptLines) + "end\n"
		}
		if string(data) != want || (event.Log != "") != (want != "") {
			t.Errorf("%s: event names log %q, which holds %q", event.Job, event.Log, data)
		}
	}
}

func TestAJobDoesNotFailBecauseItsLogCannotBeStored(t *testing.T) {
	b := newBench(t)
	b.store.set(func(op, what string) error {
		if op == "put" && strings.HasPrefix(what, "logs/") {
			return errors.New("no")
		}
		return nil
	}, nil)
	key := b.enqueue(orderOf("long", prog("many-lines", "0")...))
	b.work(b.worker(nil))
	if m, _ := b.output(key); m == nil || m.Log != "" || m.LogBytes != 0 {
		t.Errorf("manifest %+v", m)
	}
}

func TestATranscriptInAManifestIsValidText(t *testing.T) {
	log := newTranscript("")
	_, _ = log.Write([]byte("caf\xe9\n"))
	if got := log.text(); got != "caf�\n" {
		t.Errorf("%q", got)
	}
}
