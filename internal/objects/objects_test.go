package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	"spate/internal/objects"
	"spate/sandbox/s3"
)

const bucket = "spate-data"

// inProcess answers requests from the sandbox's S3 in this process. fail, unless nil, looks at each request first, whose
// body has been read: a status makes that the answer, an error the fate of the connection.
type inProcess struct {
	handler http.Handler
	fail    func(r *http.Request) (status int, err error)

	mu    sync.Mutex
	calls int
}

func (p *inProcess) Do(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.calls++
	p.mu.Unlock()
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	if p.fail != nil {
		status, err := p.fail(r)
		if err != nil {
			return nil, err
		}
		if status != 0 {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}
	}
	served := r.Clone(r.Context())
	served.Host, served.Body = r.URL.Host, io.NopCloser(bytes.NewReader(body))
	served.Header.Set("Content-Length", fmt.Sprint(len(body)))
	answer := httptest.NewRecorder()
	p.handler.ServeHTTP(answer, served)
	response := answer.Result()
	response.Request = r
	return response, nil
}

// first makes the first n requests of a method fail.
func first(n int, method string, status int, err error) func(*http.Request) (int, error) {
	return func(r *http.Request) (int, error) {
		if r.Method != method || n == 0 {
			return 0, nil
		}
		n--
		return status, err
	}
}

func open(t *testing.T) (*objects.Store, *inProcess) {
	t.Helper()
	transport := &inProcess{handler: s3.New(s3.Options{Region: "us-east-1", Log: zerolog.Nop()})}
	clients := awsclient.FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://s3.invalid"), HTTPClient: transport,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	if _, err := clients.S3.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	transport.calls = 0
	return objects.New(clients.S3, bucket), transport
}

func put(t *testing.T, s *objects.Store, key, data string, c objects.Condition) string {
	t.Helper()
	etag, err := s.Put(t.Context(), key, []byte(data), c)
	if err != nil {
		t.Fatal(err)
	}
	if etag == "" || strings.Contains(etag, `"`) {
		t.Fatalf("ETag is %q", etag)
	}
	return etag
}

func content(t *testing.T, s *objects.Store, key string) string {
	t.Helper()
	data, info, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(len(data)) {
		t.Errorf("size is %d of %d", info.Size, len(data))
	}
	return string(data)
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

func TestWhatIsPutIsFound(t *testing.T) {
	s, _ := open(t)
	before := time.Now().Add(-2 * time.Second) // LastModified has whole seconds
	etag := put(t, s, "outputs/é b/_manifest.json", "data", objects.Condition{})
	data, got, err := s.Get(t.Context(), "outputs/é b/_manifest.json")
	if err != nil || string(data) != "data" {
		t.Fatalf("data is %q, error %v", data, err)
	}
	head, err := s.Head(t.Context(), "outputs/é b/_manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, head); diff != "" {
		t.Errorf("get and head differ: %s", diff)
	}
	if got.ETag != etag || got.Size != 4 || got.Key != "outputs/é b/_manifest.json" || got.LastModified.Before(before) {
		t.Errorf("info is %+v", got)
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	s, _ := open(t)
	_, _, err := s.Get(t.Context(), "none")
	wantError(t, "get", err, objects.ErrNotFound)
	_, err = s.Head(t.Context(), "none")
	wantError(t, "head", err, objects.ErrNotFound)
	_, _, err = s.Open(t.Context(), "none", objects.Condition{IfMatch: "abc"})
	wantError(t, "open", err, objects.ErrNotFound)
	_, err = s.Put(t.Context(), "none", nil, objects.Condition{IfMatch: "abc"})
	wantError(t, "put where it matches", err, objects.ErrNotFound)
	wantError(t, "delete where it matches", s.Delete(t.Context(), "none", objects.Condition{IfMatch: "abc"}), objects.ErrNotFound)
	wantError(t, "delete", s.Delete(t.Context(), "none", objects.Condition{}), nil)
	_, _, err = s.In("elsewhere").Get(t.Context(), "none")
	wantError(t, "get from no bucket", err, objects.ErrNotFound)
	if !strings.Contains(fmt.Sprint(err), "s3://elsewhere/none") {
		t.Errorf("error is %v", err)
	}
}

func TestPagesGoOnBehindAKeyAndComeOnlyWhenWanted(t *testing.T) {
	s, transport := open(t)
	var want []string
	for i := range 2500 {
		key := fmt.Sprintf("p/%04d", i)
		put(t, s, key, "x", objects.Condition{})
		if i > 700 {
			want = append(want, key)
		}
	}
	put(t, s, "q/0", "x", objects.Condition{})
	transport.calls = 0
	var got []string
	pages := 0
	for page, err := range s.Pages(t.Context(), "p/", "p/0700") {
		if err != nil {
			t.Fatal(err)
		}
		if pages++; transport.calls != pages {
			t.Fatalf("%d requests for %d pages", transport.calls, pages)
		}
		for _, o := range page {
			got = append(got, o.Key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || pages != 2 {
		t.Errorf("%d pages: %s", pages, diff)
	}
}

func TestABucketIsCheckedBeforeItIsBelieved(t *testing.T) {
	s, transport := open(t)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.In("elsewhere").Check(t.Context()); err == nil || err.Error() != `there is no bucket elsewhere` {
		t.Errorf("error is %v", err)
	}
	transport.fail = first(1, http.MethodHead, http.StatusForbidden, nil)
	if err := s.Check(t.Context()); err == nil || strings.Contains(err.Error(), "not exist") {
		t.Errorf("error is %v", err)
	}
}

func TestConditionsOfPutsGetsAndDeletes(t *testing.T) {
	s, _ := open(t)
	old := put(t, s, "a", "one", objects.Condition{IfAbsent: true})
	_, err := s.Put(t.Context(), "a", []byte("two"), objects.Condition{IfAbsent: true})
	wantError(t, "put where absent", err, objects.ErrPrecondition)
	if got := content(t, s, "a"); got != "one" {
		t.Errorf("content is %s", got)
	}
	etag := put(t, s, "a", "two", objects.Condition{IfMatch: old})
	_, err = s.Put(t.Context(), "a", []byte("three"), objects.Condition{IfMatch: old})
	wantError(t, "put over another", err, objects.ErrPrecondition)
	_, _, err = s.Open(t.Context(), "a", objects.Condition{IfMatch: old})
	wantError(t, "open another", err, objects.ErrPrecondition)
	body, info, err := s.Open(t.Context(), "a", objects.Condition{IfMatch: etag})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(body); err != nil || string(data) != "two" || info.ETag != etag {
		t.Errorf("read %q, error %v, ETag %s", data, err, info.ETag)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, "delete another", s.Delete(t.Context(), "a", objects.Condition{IfMatch: old}), objects.ErrPrecondition)
	if got := content(t, s, "a"); got != "two" {
		t.Errorf("content is %s", got)
	}
	wantError(t, "delete", s.Delete(t.Context(), "a", objects.Condition{IfMatch: etag}), nil)
	_, err = s.Head(t.Context(), "a")
	wantError(t, "head", err, objects.ErrNotFound)
}

func TestAConflictIsTriedAgainAfterPauses(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, s *objects.Store, etag string) error{
		http.MethodPut: func(ctx context.Context, s *objects.Store, etag string) error {
			_, err := s.Put(ctx, "a", []byte("two"), objects.Condition{IfMatch: etag})
			return err
		},
		http.MethodDelete: func(ctx context.Context, s *objects.Store, etag string) error {
			return s.Delete(ctx, "a", objects.Condition{IfMatch: etag})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, transport := open(t)
				etag := put(t, s, "a", "one", objects.Condition{})
				transport.fail = first(3, name, http.StatusConflict, nil)
				start := time.Now()
				if err := call(t.Context(), s, etag); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d < 100*time.Millisecond || d > time.Second {
					t.Errorf("three conflicts took %s", d)
				}
				if transport.calls != 1+4 {
					t.Errorf("%d calls", transport.calls)
				}
			})
		})
	}
}

func TestConflictsWithoutEndAndContextsThatEndAreErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, transport := open(t)
		transport.fail = first(1000, http.MethodPut, http.StatusConflict, nil)
		_, err := s.Put(t.Context(), "a", []byte("one"), objects.Condition{IfAbsent: true})
		if err == nil || errors.Is(err, objects.ErrPrecondition) || errors.Is(err, objects.ErrNotFound) {
			t.Errorf("error is %v", err)
		}
		if transport.calls > 10 {
			t.Errorf("%d calls", transport.calls)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := s.Put(ctx, "a", []byte("one"), objects.Condition{IfAbsent: true}); err == nil || time.Since(start) != 10*time.Millisecond {
			t.Errorf("error is %v after %s", err, time.Since(start))
		}
	})
}

func TestAStreamBeginsAgainWhereItStoodWhenATryFails(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	for name, fail := range map[string]func(*http.Request) (int, error){
		"slow down":  first(1, http.MethodPut, http.StatusServiceUnavailable, nil),
		"reset":      first(1, http.MethodPut, 0, io.ErrUnexpectedEOF),
		"two errors": first(2, http.MethodPut, http.StatusInternalServerError, nil),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, transport := open(t)
				transport.fail = fail
				body := strings.NewReader("skipped" + large)
				if _, err := body.Seek(int64(len("skipped")), io.SeekStart); err != nil {
					t.Fatal(err)
				}
				if _, err := s.PutStream(t.Context(), "a", body, int64(len(large))); err != nil {
					t.Fatal(err)
				}
				if transport.calls < 2 {
					t.Fatalf("%d calls: nothing failed", transport.calls)
				}
				if content(t, s, "a") != large {
					t.Error("another content")
				}
			})
		})
	}
}

func TestAPutWhoseAnswerWasLostMeetsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, transport := open(t)
		lost := false
		transport.fail = func(r *http.Request) (int, error) {
			if r.Method == http.MethodPut && !lost {
				lost = true
				if _, err := s.Put(t.Context(), "a", []byte("one"), objects.Condition{IfAbsent: true}); err != nil {
					t.Error(err)
				}
				return 0, io.ErrUnexpectedEOF
			}
			return 0, nil
		}
		_, err := s.Put(t.Context(), "a", []byte("one"), objects.Condition{IfAbsent: true})
		wantError(t, "put", err, objects.ErrPrecondition)
		if got := content(t, s, "a"); got != "one" {
			t.Errorf("content is %s", got)
		}
	})
}

func TestAListingIsWholeInOrderAndOnlyOfItsPrefix(t *testing.T) {
	s, transport := open(t)
	var want []string
	for i := range 2345 {
		key := fmt.Sprintf("outputs/%05d", i)
		want = append(want, key)
		put(t, s, key, "x", objects.Condition{})
	}
	put(t, s, "outputz", "x", objects.Condition{})
	put(t, s, "output", "x", objects.Condition{})
	transport.calls = 0
	var got []string
	for info, err := range s.List(t.Context(), "outputs/") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Size != 1 || info.ETag == "" || strings.Contains(info.ETag, `"`) || info.LastModified.IsZero() {
			t.Fatalf("info is %+v", info)
		}
		got = append(got, info.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if transport.calls != 3 {
		t.Errorf("%d calls", transport.calls)
	}
	transport.calls = 0
	for _, err := range s.List(t.Context(), "outputs/") {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if transport.calls != 1 {
		t.Errorf("%d calls for one key", transport.calls)
	}
}

func TestAnErrorEndsAListing(t *testing.T) {
	s, transport := open(t)
	put(t, s, "a", "x", objects.Condition{})
	transport.fail = first(1, http.MethodGet, http.StatusForbidden, nil)
	var got []error
	for _, err := range s.List(t.Context(), "") {
		got = append(got, err)
	}
	if len(got) != 1 || got[0] == nil || errors.Is(got[0], objects.ErrNotFound) {
		t.Errorf("got %v", got)
	}
}

func TestAnObjectThatIsCutShortIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "only this")
	}))
	defer server.Close()
	data, _, err := objects.New(awsclient.Local(server.URL).S3, bucket).Get(t.Context(), "a")
	if err == nil {
		t.Errorf("read %q", data)
	}
}
