package awsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/cockroachdb/datadriven"

	"spate/internal/awsclient"
)

// runTask sends a RunTask to whatever answers at the endpoint.
func runTask(ctx context.Context, endpoint string) (*ecs.RunTaskOutput, error) {
	return awsclient.Local(endpoint).ECS.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("spate-rollup:1"), ClientToken: aws.String("t")})
}

// once serves one answer to every request.
func once(t *testing.T, d *datadriven.TestData) *httptest.Server {
	t.Helper()
	status, kind := http.StatusOK, "application/x-amz-json-1.1"
	d.MaybeScanArgs(t, "status", &status)
	d.MaybeScanArgs(t, "type", &kind)
	reset, silence, body := d.HasArg("reset"), d.HasArg("silence"), d.Input
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case reset:
			panic(http.ErrAbortHandler)
		case silence:
			<-r.Context().Done()
		default:
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestEachAnswerOfRunTaskHasItsClass(t *testing.T) {
	datadriven.RunTest(t, "testdata/runtask", func(t *testing.T, d *datadriven.TestData) string {
		server := once(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		switch {
		case d.HasArg("silence"):
			ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
		case d.HasArg("refused"):
			server.Close()
		}
		if d.HasArg("unsent") {
			_, err := awsclient.Local(server.URL).ECS.RunTask(ctx, &ecs.RunTaskInput{})
			return describe(t, err)
		}
		out, err := runTask(ctx, server.URL)
		if d.Cmd == "answer" {
			return describe(t, err)
		}
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		var s strings.Builder
		for _, f := range out.Failures {
			fmt.Fprintf(&s, "%s: %s\n", awsclient.ClassifyFailure(aws.ToString(f.Reason)), aws.ToString(f.Reason))
		}
		return s.String()
	})
}

func describe(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	class := awsclient.Classify(err)
	if wrapped := awsclient.Classify(fmt.Errorf("run task: %w", err)); wrapped != class {
		t.Errorf("wrapped, the class is %s instead of %s", wrapped, class)
	}
	s := string(class)
	if class.Ambiguous() {
		s += " (ambiguous)"
	}
	if code := awsclient.Code(err); code != "" {
		s += " " + code
	}
	if conflict, ok := errors.AsType[*types.ConflictException](err); ok {
		s += fmt.Sprintf(" %v", conflict.ResourceIds)
	}
	return s + "\n"
}

func TestNoErrorHasNoClass(t *testing.T) {
	if class := awsclient.Classify(nil); class != awsclient.ClassNone {
		t.Errorf("class is %s", class)
	}
	if code := awsclient.Code(errors.New("plain")); code != "" {
		t.Errorf("code is %q", code)
	}
}
