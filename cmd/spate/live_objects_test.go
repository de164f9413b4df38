package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"spate/internal/awsclient"
	"spate/internal/objects"
	"spate/job"
)

// changeObject is a command that changes an object which a file of a script names by its URL, by the end of that.
func changeObject(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < 3 || len(args) != map[string]int{"put": 4, "delete": 3}[args[0]] {
			ts.Fatalf("usage: object put|delete FILE URL-END [CONTENT-FILE]")
		}
		address := regexp.MustCompile(`s3://[^"\s]*` + regexp.QuoteMeta(args[2]) + `\b`).FindString(ts.ReadFile(args[1]))
		bucket, object, err := job.ParseObjectURL(address)
		ts.Check(err)
		store := objects.New(awsclient.Local(ts.Getenv("AWS_ENDPOINT_URL")).S3, bucket)
		if args[0] == "delete" {
			err = store.Delete(t.Context(), object, objects.Condition{})
		} else {
			_, err = store.Put(t.Context(), object, []byte(ts.ReadFile(args[3])), objects.Condition{})
		}
		ts.Check(err)
	}
}

// holding is an endpoint that is the sandbox, but sends one output's file only; others are held back until the client
// goes away.
func holding(t *testing.T, endpoint string) string {
	t.Helper()
	to, err := url.Parse(endpoint)
	must(t, err)
	var sent atomic.Bool
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isFile := strings.HasPrefix(r.URL.Path, "/spate-data/outputs/") && !strings.HasSuffix(r.URL.Path, "/_manifest.json")
		if isFile && sent.Swap(true) {
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
