package awsclient_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"spate/internal/awsclient"
)

func updating() bool {
	f := flag.Lookup("rewrite") // of datadriven
	return f != nil && f.Value.String() == "true"
}

// wire answers every request with one captured answer.
type wire []byte

func (w wire) Do(r *http.Request) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(w)), r)
}

func TestEachCapturedAnswerIsUnderstood(t *testing.T) {
	files, err := filepath.Glob("testdata/captured/*.http")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d captured answers, %v", len(files), err)
	}
	var got strings.Builder
	for _, file := range files {
		answer, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		client := awsclient.FromConfig(aws.Config{
			Region: "eu-west-1", HTTPClient: wire(answer), Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		}).ECS
		out, err := client.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: aws.String("spate-rollup:7"), ClientToken: aws.String("t")})
		fmt.Fprintln(&got, strings.TrimSuffix(filepath.Base(file), ".http"))
		if err != nil {
			sentence := ""
			if api, ok := errors.AsType[smithy.APIError](err); ok {
				sentence = api.ErrorMessage()
			}
			tell(&got, awsclient.Classify(err), awsclient.Code(err), sentence)
			continue
		}
		for _, f := range out.Failures {
			tell(&got, awsclient.ClassifyFailure(aws.ToString(f.Reason)), "", aws.ToString(f.Reason))
		}
	}
	const golden = "testdata/captured/expected"
	if updating() {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("what is made of the captured answers (-want +got; -rewrite writes it anew):\n%s", diff)
	}
}

func tell(s *strings.Builder, class awsclient.Class, code, sentence string) {
	fmt.Fprintf(s, "  %s %s\n", class, code)
	if subnet := awsclient.Subnet(sentence); subnet != "" {
		fmt.Fprintf(s, "    names %s\n", subnet)
	}
	if class == awsclient.ClassQuota {
		for _, provider := range []string{"FARGATE", "FARGATE_SPOT"} {
			q := awsclient.QuotaOf(sentence, provider)
			fmt.Fprintf(s, "    %s: %s, %s %s\n", provider, q.Name, q.Service, q.Code)
		}
	}
	if class == awsclient.ClassConfiguration {
		fmt.Fprintf(s, "    %s\n", awsclient.Remedy(code, sentence))
	}
}

func FuzzEveryErrorHasAClass(f *testing.F) {
	f.Add("ClientException", "You’ve reached the limit on the number of vCPUs you can run concurrently", "FARGATE")
	f.Add("InvalidParameterException", "Error retrieving subnet information for [subnet-1]: Throttling", "FARGATE_SPOT")
	f.Add("", "", "")
	f.Add("NewException", "subnet-\xff’’ RESOURCE:", "X")
	f.Fuzz(func(t *testing.T, code, sentence, provider string) {
		class := awsclient.Classify(&smithy.GenericAPIError{Code: code, Message: sentence})
		refused := []awsclient.Class{
			awsclient.ClassThrottled, awsclient.ClassCapacity, awsclient.ClassQuota, awsclient.ClassConfiguration, awsclient.ClassConflict,
		}
		open := []awsclient.Class{awsclient.ClassTransient, awsclient.ClassUnknown}
		if class.Ambiguous() != slices.Contains(open, class) || class.Ambiguous() == slices.Contains(refused, class) {
			t.Errorf("%q, %q: class %q, ambiguous %t", code, sentence, class, class.Ambiguous())
		}
		if of := awsclient.ClassifyFailure(sentence); of != awsclient.ClassUnknown && class == awsclient.ClassUnknown {
			t.Errorf("%q, %q: unknown, although the sentence is of class %s", code, sentence, of)
		}
		if name := awsclient.Subnet(sentence); !strings.Contains(sentence, name) {
			t.Errorf("%q names no subnet %q", sentence, name)
		}
		if q := awsclient.QuotaOf(sentence, provider); q.Code == "" || q.Raise() == "" {
			t.Errorf("%q: quota %+v", sentence, q)
		}
		if awsclient.Remedy(code, sentence) == "" {
			t.Errorf("%q, %q: no remedy", code, sentence)
		}
	})
}
