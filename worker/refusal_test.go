package worker

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"spate/internal/objects"
	"spate/job"
)

// answering is a bucket of which S3 says one thing whatever is asked.
func answering(t *testing.T, status int, code string) *objects.Store {
	url, client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>The sentence of S3.</Message></Error>", code)
	}))
	return objects.New(awss3.New(awss3.Options{
		BaseEndpoint: &url, Region: "us-east-1", HTTPClient: client, UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	}), "data")
}

func TestOnlyWhatS3RefusesForGoodIsARefusal(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   bool
	}{
		{403, "AccessDenied", true},
		{400, "KMS.DisabledException", true},
		{400, "InvalidRequest", true},
		{403, "InvalidObjectState", true},
		{404, "NoSuchKey", false},
		{408, "RequestTimeout", false},
		{409, "OperationAborted", false},
		{412, "PreconditionFailed", false},
		{429, "TooManyRequests", false},
		{400, "RequestTimeout", false},
		{400, "ExpiredToken", false},
		{403, "RequestTimeTooSkewed", false},
		{400, "KMS.ThrottlingException", false},
		{500, "InternalError", false},
		{503, "SlowDown", false},
	} {
		_, _, err := answering(t, c.status, c.code).Get(t.Context(), "x")
		if err == nil {
			t.Fatalf("%d %s: no error", c.status, c.code)
		}
		sentence, ok := refusal(err)
		want := fmt.Sprintf("%s: The sentence of S3. (HTTP status %d)", c.code, c.status)
		if ok != c.want || (ok && sentence != want) {
			t.Errorf("%d %s: refusal %q, %t; want %t", c.status, c.code, sentence, ok, c.want)
		}
	}
	if sentence, ok := refusal(nil); ok {
		t.Errorf("no error: refusal %q", sentence)
	}
}

func TestARefusalOfS3FailsTheJobAtOnce(t *testing.T) {
	_, _, denied := answering(t, http.StatusForbidden, "AccessDenied").Get(t.Context(), "x")
	denies := func(op, what string) func(string, string) error {
		return func(gotOp, gotWhat string) error {
			if gotOp == op && strings.Contains(gotWhat, what) {
				return denied
			}
			return nil
		}
	}
	parent := job.Key{7}
	for name, c := range map[string]struct {
		fault func(op, what string) error
		cause string
	}{
		"input":           {denies("get", "elt.csv"), `read input "melt.csv" from s3://other/elt.csv: S3 refuses it: AccessDenied: The sentence of S3. (HTTP status 403)`},
		"parent manifest": {denies("get", job.ManifestPath(parent)), "read " + job.ManifestPath(parent) + ": S3 refuses it: AccessDenied"},
		"parent file":     {denies("get", job.AttemptPrefix(parent, "a1-parent")), `read file "table" of need "events" from `},
		"output file":     {denies("put", "description"), "S3 refuses it: AccessDenied"},
		"output manifest": {denies("put", job.ManifestFile), "S3 refuses it: AccessDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.publishParent(parent, 0, map[string]string{"table": "TABLE"})
			o := orderOf("j", prog("describe")...)
			o.inputs = map[string]string{"melt.csv": "s3://other/elt.csv"}
			o.doc.Spec.Inputs["melt.csv"] = job.InputIdentity{SHA256: digest([]byte("MELT"))}
			o.doc.Parents["events"] = job.ParentOutputs{Key: parent}
			b.store.put("elt.csv", []byte("MELT"), b.store.objects[job.ManifestPath(parent)].modified)
			key := b.enqueue(o)
			b.store.set(c.fault, nil)
			b.work(b.worker(nil))
			if e := b.onlyEvent(); e.Type != job.EventFailed || !strings.Contains(e.Cause, c.cause) {
				t.Errorf("event %s: %s; want a failure with %q", e.Type, e.Cause, c.cause)
			}
			if m, _ := b.output(key); m != nil {
				t.Error("there is an output")
			}
			b.checkEmpty()
		})
	}
}
