package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"spate/cache"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/planner"
)

// readFrom is what reading the runs from an address makes commands print.
func readFrom(t *testing.T, address string, patience time.Duration, environ ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := planner.ReadRuns(ctx, table.New(awsclient.Local(address).DynamoDB, "spate-runs"))
	if err == nil {
		t.Fatal("no error")
	}
	var b bytes.Buffer
	printError(page{&b, 0, ""}, err, environ)
	for _, noise := range []string{"operation error", "StatusCode", "https response", "RequestID", "query RUN"} {
		if strings.Contains(b.String(), noise) {
			t.Errorf("%q is the SDK's affair:\n%s", noise, b.String())
		}
	}
	return b.String()
}

func TestErrorsOfServicesAreSentencesWithAdvice(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		status  int
		code    string
		message string
		want    string
	}{
		{
			"a table that is not there", 400, "ResourceNotFoundException", "Requested resource not found",
			"spate: read runs: DynamoDB refused Query: ResourceNotFoundException: Requested resource not found (request 4711)\n" +
				"  What the configuration names must exist in this account and Region. `spate sandbox --config FILE` creates it in a sandbox.\n",
		}, {
			"wrong credentials", 400, "UnrecognizedClientException", "The security token included in the request is invalid.",
			"spate: read runs: DynamoDB refused Query: UnrecognizedClientException: The security token included in the request is invalid. (request 4711)\n" +
				"  The AWS credentials are wrong.\n",
		}, {
			"no permission", 400, "AccessDeniedException", "User: arn is not authorized",
			"spate: read runs: DynamoDB refused Query: AccessDeniedException: User: arn is not authorized (request 4711)\n" +
				"  The AWS credentials lack this permission.\n",
		}, {
			"an outage", 500, "InternalServerError", "",
			"spate: read runs: DynamoDB refused Query: InternalServerError (request 4711)\n  Try again in a moment.\n",
		}, {
			"something new", 400, "BrandNewException", "hm",
			"spate: read runs: DynamoDB refused Query: BrandNewException: hm (request 4711)\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amzn-Requestid", "4711")
				w.WriteHeader(test.status)
				fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":%q}`, test.code, test.message)
			}))
			defer server.Close()
			if got := readFrom(t, server.URL, time.Minute); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAnUnreachableServiceIsNamedWithWhatPointsThere(t *testing.T) {
	t.Parallel()
	closed, free, err := closedPort()
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	address := "http://" + closed
	want := "spate: read runs: nothing listens for DynamoDB at " + address + "\n" +
		"  AWS_ENDPOINT_URL_DYNAMODB points there. Is that where `spate sandbox` or `spate demo --keep` is serving? Unset it to use AWS.\n"
	got := readFrom(t, address, time.Minute, "HOME=/", "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ENDPOINT_URL_DYNAMODB="+address)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestASilentServiceIsNotWaitedForLongerThanTheContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	want := "spate: read runs: no answer from DynamoDB\n" +
		"  Is the Region right, and is there a way to it from here? For a sandbox, export what `spate sandbox` prints.\n"
	if got := readFrom(t, server.URL, 200*time.Millisecond); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = "spate: read runs: no answer from DynamoDB at " + server.URL + "\n  AWS_ENDPOINT_URL points there."
	if got := readFrom(t, server.URL, 200*time.Millisecond, "AWS_ENDPOINT_URL="+server.URL); !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWhatStandsBehindTheSDKsErrorIsKept(t *testing.T) {
	t.Parallel()
	closed, free, err := closedPort()
	if err != nil {
		t.Fatal(err)
	}
	defer free()
	_, err = planner.ReadRuns(t.Context(), table.New(awsclient.Local("http://"+closed).DynamoDB, "spate-runs"))
	var b bytes.Buffer
	printError(page{&b, 0, ""}, fmt.Errorf("%w\nthe log ends with:\nlast line", err), nil)
	lines := strings.Split(b.String(), "\n")
	if len(lines) < 4 || lines[0] != "spate: read runs: nothing listens for DynamoDB at http://"+closed || lines[1] != "  the log ends with:" || lines[2] != "  last line" {
		t.Errorf("printed:\n%s", b.String())
	}
}

func TestOtherErrorsArePrintedAsTheyAre(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	printError(page{&b, 0, ""}, errors.Join(errors.New("one"), errors.New("two")), nil)
	if want := "spate: one\n  two\n"; b.String() != want {
		t.Errorf("printed %q, want %q", b.String(), want)
	}
}

func TestWhatServeMissesComesWithHowToMakeIt(t *testing.T) {
	cfg := &config.Config{Tables: config.Tables{Runs: "runs", Outputs: "ledger"}}
	for want, err := range map[string]error{
		"`aws sqs create-queue --queue-name deals`":                                             &queue.MissingError{Name: "deals"},
		"`aws dynamodb create-table --table-name runs --billing-mode PAY_PER_REQUEST":           &table.MissingError{Name: "runs"},
		"AttributeName=pk,KeyType=HASH AttributeName=sk,KeyType=RANGE`":                         &table.MissingError{Name: "runs"},
		"AttributeName=key,KeyType=HASH --stream-specification StreamEnabled=true,StreamViewTy": &table.MissingError{Name: "ledger"},
	} {
		p, ok := errors.AsType[*problem](missing(err, cfg))
		if !ok || p.what != err.Error() || !strings.Contains(p.todo, want) {
			t.Errorf("%v: %+v, want %s", err, p, want)
		}
	}
	refused := &cache.RefusedError{Findings: []cache.Finding{{Text: "A rule comes early.", Fix: "Set 34 days."}, {Text: "No stream.", Fix: "Enable it."}}}
	p, ok := errors.AsType[*problem](missing(refused, cfg))
	if !ok || p.what != "a controller does not start like this\nA rule comes early.\nNo stream." || p.todo != "Set 34 days. Enable it." {
		t.Errorf("refused: %+v", p)
	}
	if other := errors.New("no answer"); missing(other, cfg) != other { //nolint:errorlint // it must pass as it is
		t.Error("another error does not pass")
	}
}

func TestACommandThatWasStoppedSaysWhatBecomesOfWhatItBegan(t *testing.T) {
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	goesOn := &problem{what: "stopped watching; the rebuild goes on", err: context.Canceled}
	for want, err := range map[string]error{
		goesOn.what: goesOn, "stopped": fmt.Errorf("read: %w", context.Canceled), "no answer": errors.New("no answer"),
	} {
		if got := told(stopped, err); got.Error() != want {
			t.Errorf("%v is told as %v, want %s", err, got, want)
		}
	}
	if err := told(t.Context(), context.Canceled); err != context.Canceled { //nolint:errorlint // it must pass as it is
		t.Errorf("what was not stopped by a person is told as %v", err)
	}
	if told(stopped, nil) != nil {
		t.Error("a command that succeeded while it was stopped is told as failed")
	}
}
