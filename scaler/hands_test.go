package scaler

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// slowly hands credentials out after a while, whatever the caller's patience.
func slowly(d time.Duration) aws.CredentialsProviderFunc {
	return func(context.Context) (aws.Credentials, error) {
		time.Sleep(d)
		return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestARequestThatSleptBeforeItWasSignedIsNotSent(t *testing.T) {
	for name, tc := range map[string]struct {
		sleeps time.Duration
		sent   bool
	}{
		"a minute": {time.Minute, true},
		"a day":    {24 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := false
				client := ecs.NewFromConfig(aws.Config{
					Region: "us-east-1", Credentials: slowly(tc.sleeps),
					HTTPClient: roundTrip(func(*http.Request) (*http.Response, error) {
						sent = true
						return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}, nil
					}),
				})
				i, err := newIntent(time.Now(), Pool{Cluster: "hpc", Name: "rollup", Subnets: []string{"subnet-a"}}, Demand{TaskDefinition: "spate-rollup:1"}, Launch{Provider: "FARGATE", Count: 1})
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(i.CreatedAt.String(), "m=") {
					t.Errorf("created at %s: the monotonic clock does not count a suspension", i.CreatedAt)
				}
				request, err := i.decodeRequest()
				if err != nil {
					t.Fatal(err)
				}
				_, err = client.RunTask(t.Context(), request, ifStillAllowed(i.Repeatable))
				if sent != tc.sent || errors.Is(err, ErrNotSent) == tc.sent || (err != nil && tc.sent) {
					t.Errorf("sent %t, error %v", sent, err)
				}
			})
		})
	}
}
