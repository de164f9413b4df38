package download_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"spate/internal/awsclient"
	"spate/internal/download"
	"spate/internal/objects"
	"spate/sandbox/s3"
)

// bucket is S3 in this process. cut, unless nil, may return another body for an answer to a GET.
type bucket struct {
	*objects.Store
	t       *testing.T
	handler http.Handler

	mu  sync.Mutex
	got []string // objects that were read, in order
	cut func(r *http.Request, body io.ReadCloser) io.ReadCloser
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{t: t, handler: s3.New(s3.Options{Region: "us-east-1", Log: zerolog.Nop()})}
	clients := awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://s3.invalid"), HTTPClient: b,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	if _, err := clients.S3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("data")}); err != nil {
		t.Fatal(err)
	}
	b.Store = objects.New(clients.S3, "data")
	return b
}

// Do answers a request.
func (b *bucket) Do(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.Host = r.URL.Host
	if served.Body == nil {
		served.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	b.handler.ServeHTTP(answer, served)
	response := answer.Result()
	response.Request = r
	if r.Method == http.MethodGet {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got = append(b.got, strings.TrimPrefix(r.URL.Path, "/data/"))
		if b.cut != nil {
			response.Body = b.cut(r, response.Body)
		}
	}
	return response, r.Context().Err()
}

// file puts an object and describes the file that it is to be.
func (b *bucket) file(path, content string) download.File {
	b.t.Helper()
	object := "objects/" + path
	if _, err := b.Put(b.t.Context(), object, []byte(content), objects.Condition{}); err != nil {
		b.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	return download.File{Object: object, Path: path, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
}

// lies are the files below a directory.
func lies(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		files[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestFilesComeAndAreKeptTheNextTime(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	files := []download.File{b.file("north/a.csv", "one"), b.file("north/by year/b.csv", "two"), b.file("south/empty", "")}
	dir := filepath.Join(t.TempDir(), "new", "out")
	var done, of int64
	tally, err := download.To(t.Context(), dir, b.Store, files, func(d, o int64) { done, of = max(done, d), o })
	if err != nil {
		t.Fatal(err)
	}
	same(t, "tally", tally, &download.Tally{Fetched: 3, Bytes: 6, Bad: []download.Bad{}})
	want := map[string]string{"north/a.csv": "one", "north/by year/b.csv": "two", "south/empty": ""}
	same(t, "files", lies(t, dir), want)
	if done != 6 || of != 6 {
		t.Errorf("progress ended at %d of %d", done, of)
	}

	b.got = nil
	write(t, filepath.Join(dir, "south", "notes.txt"), "mine")
	tally, err = download.To(t.Context(), dir, b.Store, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "second tally", tally, &download.Tally{Kept: 3, Bad: []download.Bad{}})
	want["south/notes.txt"] = "mine"
	same(t, "files after the second time", lies(t, dir), want)
	if len(b.got) > 0 {
		t.Errorf("the second time read %v", b.got)
	}
}

func TestAFileThatIsWrongIsHealed(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	files := []download.File{b.file("a", "12345"), b.file("b", "12345"), b.file("c", "12345")}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "12x45")
	write(t, filepath.Join(dir, "b"), "123")
	tally, err := download.To(t.Context(), dir, b.Store, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "tally", tally, &download.Tally{Fetched: 3, Bytes: 15, Replaced: 2, Bad: []download.Bad{}})
	same(t, "files", lies(t, dir), map[string]string{"a": "12345", "b": "12345", "c": "12345"})
}

func TestWhatS3DoesNotHaveAsItShouldBeIsRefusedAndTheRestComes(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	files := []download.File{b.file("other", "12345"), b.file("longer", "12345"), b.file("gone", "12345"), b.file("right", "12345")}
	b.file("other", "12x45")
	b.file("longer", "123456")
	if err := b.Delete(t.Context(), files[2].Object, objects.Condition{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tally, err := download.To(t.Context(), dir, b.Store, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "files", lies(t, dir), map[string]string{"right": "12345"})
	var bad []string
	for _, f := range tally.Bad {
		bad = append(bad, f.Path+": "+f.Cause[:strings.IndexAny(f.Cause+":", ":,")])
	}
	same(t, "bad", bad, []string{
		"gone: its object is gone from S3", "longer: its object in S3 has 6 bytes", "other: its object in S3 has other bytes",
	})
	if tally.Fetched != 1 || tally.Bytes != 5 {
		t.Errorf("tally is %+v", tally)
	}
}

// breaking is a body that ends with an error after some bytes.
type breaking struct {
	io.Reader
	io.Closer
}

func breakAfter(n int64, body io.ReadCloser) io.ReadCloser {
	return breaking{io.MultiReader(io.LimitReader(body, n), errorReader{}), body}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestBytesThatStopComingAreAskedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		file := b.file("a", "12345")
		breaks := 2
		b.cut = func(_ *http.Request, body io.ReadCloser) io.ReadCloser {
			if breaks--; breaks < 0 {
				return body
			}
			return breakAfter(3, body)
		}
		dir := t.TempDir()
		var done int64
		tally, err := download.To(t.Context(), dir, b.Store, []download.File{file}, func(d, _ int64) { done = d })
		if err != nil {
			t.Fatal(err)
		}
		same(t, "tally", tally, &download.Tally{Fetched: 1, Bytes: 5, Bad: []download.Bad{}})
		same(t, "files", lies(t, dir), map[string]string{"a": "12345"})
		if done != 5 || len(b.got) != 3 {
			t.Errorf("progress ended at %d after %d requests", done, len(b.got))
		}

		// A network that stays away ends the download, and leaves nothing.
		breaks = 1000
		dir = t.TempDir()
		_, err = download.To(t.Context(), dir, b.Store, []download.File{file}, nil)
		if err == nil || err.Error() != "download a: bytes stopped coming after 3: connection reset" {
			t.Errorf("error is %v", err)
		}
		same(t, "files", lies(t, dir), map[string]string{})
	})
}

func TestAConnectionThatFallsSilentIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		file := b.file("a", "12345")
		silent := true
		b.cut = func(r *http.Request, body io.ReadCloser) io.ReadCloser {
			if !silent {
				return body
			}
			silent = false
			return breaking{io.MultiReader(io.LimitReader(body, 2), untilDone{r.Context()}), body}
		}
		began := time.Now()
		tally, err := download.To(t.Context(), t.TempDir(), b.Store, []download.File{file}, nil)
		if err != nil || tally.Fetched != 1 {
			t.Fatalf("tally %+v, error %v", tally, err)
		}
		if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

func TestASlowConnectionIsNotGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(t)
		file := b.file("a", "12345")
		b.cut = func(_ *http.Request, body io.ReadCloser) io.ReadCloser { return breaking{slow{body}, body} }
		tally, err := download.To(t.Context(), t.TempDir(), b.Store, []download.File{file}, nil)
		if err != nil || tally.Fetched != 1 || len(b.got) != 1 {
			t.Errorf("tally %+v after %d requests, error %v", tally, len(b.got), err)
		}
	})
}

// slow sends a byte every 50 seconds.
type slow struct{ from io.Reader }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Second)
	return s.from.Read(p[:1])
}

// untilDone has no bytes until its context is done.
type untilDone struct{ ctx context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}

func TestAnInterruptedDownloadIsResumed(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	files := []download.File{b.file("a", "12345"), b.file("b", "67890")}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	b.cut = func(r *http.Request, body io.ReadCloser) io.ReadCloser {
		if strings.HasSuffix(r.URL.Path, "/a") {
			return body
		}
		return breaking{io.MultiReader(io.LimitReader(body, 2), untilDone{r.Context()}), body}
	}
	_, err := download.To(ctx, dir, b.Store, files, func(done, _ int64) {
		if done == 7 { // all of a, and the beginning of b
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error is %v", err)
	}
	left := lies(t, dir)
	delete(left, "a") // which may have come just in time
	same(t, "files when interrupted", left, map[string]string{})

	b.cut = nil
	tally, err := download.To(t.Context(), dir, b.Store, files, nil)
	if err != nil || tally.Kept+tally.Fetched != 2 || tally.Replaced != 0 {
		t.Fatalf("tally %+v, error %v", tally, err)
	}
	same(t, "files", lies(t, dir), map[string]string{"a": "12345", "b": "67890"})
}

func TestPartialFilesOfADownloadThatWasKilledGo(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	dir := t.TempDir()
	fresh, old := filepath.Join(dir, ".spate-partial", "fresh"), filepath.Join(dir, ".spate-partial", "old")
	for _, path := range []string{fresh, old} {
		write(t, path, "12")
	}
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := download.To(t.Context(), dir, b.Store, []download.File{b.file("a", "12345")}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "files", lies(t, dir), map[string]string{"a": "12345", ".spate-partial/fresh": "12"})
}

func TestNothingIsWrittenOutsideOfTheDirectory(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	file := b.file("job/a", "12345")
	for _, path := range []string{"../a", "/a", "job/../../a", "", ".spate-partial/a", "job/"} {
		dir := t.TempDir()
		bad := file
		bad.Path = path
		if _, err := download.To(t.Context(), filepath.Join(dir, "out"), b.Store, []download.File{bad}, nil); err == nil {
			t.Errorf("%q was taken", path)
		}
		same(t, path, lies(t, dir), map[string]string{})
	}

	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "job")); err != nil {
		t.Fatal(err)
	}
	if _, err := download.To(t.Context(), dir, b.Store, []download.File{file}, nil); err == nil {
		t.Error("a link out of the directory was followed")
	}
	same(t, "outside", lies(t, outside), map[string]string{})

	// A link in the place of a file is replaced, and what it leads to left alone.
	dir = t.TempDir()
	write(t, filepath.Join(outside, "a"), "mine!")
	if err := os.Mkdir(filepath.Join(dir, "job"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "a"), filepath.Join(dir, "job", "a")); err != nil {
		t.Fatal(err)
	}
	tally, err := download.To(t.Context(), dir, b.Store, []download.File{file}, nil)
	if err != nil || tally.Replaced != 1 {
		t.Errorf("tally %+v, error %v", tally, err)
	}
	same(t, "outside", lies(t, outside), map[string]string{"a": "mine!"})
}

func TestADirectoryInTheWayIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a", "notes"), "mine")
	_, err := download.To(t.Context(), dir, b.Store, []download.File{b.file("a", "12345")}, nil)
	if err == nil || err.Error() != "download a: a directory of that name is in the way" {
		t.Errorf("error is %v", err)
	}
	same(t, "files", lies(t, dir), map[string]string{"a/notes": "mine"})
}
