package main

import (
	"errors"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite golden files and scripts with what the code says now")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"spate": main})
}

// The scripts are what a newcomer types. They reach no service: those that would find one that refuses or a closed port.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("COLUMNS", "80")
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Setenv("AWS_CONFIG_FILE", filepath.Join(env.WorkDir, "no-aws-config"))
			env.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(env.WorkDir, "no-aws-credentials"))
			env.Setenv("AWS_MAX_ATTEMPTS", "1") // nobody is there, however often one asks
			refusing := httptest.NewServer(http.HandlerFunc(refuse))
			env.Defer(refusing.Close)
			env.Setenv("REFUSING", refusing.URL)
			env.Setenv("TAKEN", refusing.Listener.Addr().String())
			closed, free, err := closedPort()
			if err != nil {
				return err
			}
			env.Defer(free)
			env.Setenv("CLOSED", "http://"+closed)
			return nil
		},
	})
}

// closedPort is a loopback address on which nothing listens, nor can until it is freed: the near end of a connection.
func closedPort() (address string, free func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return "", nil, errors.Join(err, listener.Close())
	}
	return near.LocalAddr().String(), func() { near.Close(); listener.Close() }, nil
}

// refuse is DynamoDB and SQS for somebody whose credentials have expired.
func refuse(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-Requestid", "4711")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write([]byte(`{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}`))
}

// golden compares text with a file below testdata/golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), to be rewritten with -update:\n%s", path, diff)
	}
}

// noon is when the golden texts are printed.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestACommandLineIsReadAsItIsMeant(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"runs --limit -1":             "runs --limit=-1",
		"plan run.yaml --x 5":         "plan run.yaml --x 5",
		"what-if r --tolerance -1e-9": "what-if r --tolerance=-1e-9",
		"logs -o json -1":             "logs -o json -1",
		"logs --run=a -1":             "logs --run=a -1",
		"logs -- --run -1":            "logs -- --run -1",
		"help":                        "--help",
		"help runs":                   "runs --help",
		"logs help":                   "logs help",
		"--version -o json":           "version -o json",
	} {
		if got := strings.Join(asMeant(strings.Fields(line)), " "); got != want {
			t.Errorf("%s is read as %s, want %s", line, got, want)
		}
	}
}
