package awsclient_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"spate/internal/awsclient"
)

// environment gives the test an environment without AWS settings but those.
func environment(t *testing.T, settings map[string]string) {
	t.Helper()
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, value := range settings {
		t.Setenv(name, value)
	}
}

// listener counts requests, remembers their paths, and answers all with one status.
type listener struct {
	*httptest.Server
	calls atomic.Int64
	mu    sync.Mutex
	paths []string
}

func listen(t *testing.T, status int) *listener {
	t.Helper()
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.calls.Add(1)
		l.mu.Lock()
		l.paths = append(l.paths, r.Host+r.URL.Path)
		l.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(l.Close)
	return l
}

func TestECSCallsAreNeverRetriedBehindTheLaunchersBack(t *testing.T) {
	server := listen(t, http.StatusServiceUnavailable)
	// Not even where the environment asks for it.
	environment(t, map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_MAX_ATTEMPTS": "5", "AWS_RETRY_MODE": "adaptive",
	})
	loaded, err := awsclient.Load(t.Context(), "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, clients := range map[string]*awsclient.Clients{"loaded": loaded, "local": awsclient.Local(server.URL)} {
		before := server.calls.Load()
		if _, err := clients.ECS.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: aws.String("x")}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := server.calls.Load() - before; n != 1 {
			t.Errorf("%s: %d calls instead of one", name, n)
		}
	}
}

func TestTheOtherClientsRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &unwell{}
		clients := awsclient.FromConfig(aws.Config{Region: "us-east-1", HTTPClient: server, Credentials: aws.AnonymousCredentials{}})
		for name, call := range calls(clients) {
			server.calls = 0
			if err := call(t.Context()); err == nil {
				t.Errorf("%s: no error", name)
			}
			want := 3
			if name == "ecs" {
				want = 1
			}
			if server.calls != want {
				t.Errorf("%s: %d calls instead of %d", name, server.calls, want)
			}
		}
	})
}

func TestASingleECSCallMayBeRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &unwell{}
		clients := awsclient.FromConfig(aws.Config{Region: "us-east-1", HTTPClient: server, Credentials: aws.AnonymousCredentials{}})
		if _, err := clients.ECS.ListTasks(t.Context(), &ecs.ListTasksInput{}, awsclient.Retried); err == nil {
			t.Error("no error")
		}
		if server.calls != 3 {
			t.Errorf("%d calls instead of 3", server.calls)
		}
	})
}

// unwell is an HTTP client whose server always fails.
type unwell struct{ calls int }

func (u *unwell) Do(request *http.Request) (*http.Response, error) {
	u.calls++
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody, Request: request}, nil
}

// calls is one call of each client.
func calls(c *awsclient.Clients) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"ecs": func(ctx context.Context) error { _, err := c.ECS.ListTasks(ctx, &ecs.ListTasksInput{}); return err },
		"sqs": func(ctx context.Context) error { _, err := c.SQS.ListQueues(ctx, &sqs.ListQueuesInput{}); return err },
		"dynamodb": func(ctx context.Context) error {
			_, err := c.DynamoDB.ListTables(ctx, &dynamodb.ListTablesInput{})
			return err
		},
		"streams": func(ctx context.Context) error {
			_, err := c.Streams.ListStreams(ctx, &dynamodbstreams.ListStreamsInput{})
			return err
		},
		"s3": func(ctx context.Context) error {
			_, err := c.S3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("spate-data")})
			return err
		},
	}
}

func TestLocalDoesNotLookAtTheEnvironment(t *testing.T) {
	elsewhere, here := listen(t, http.StatusBadRequest), listen(t, http.StatusBadRequest)
	settings := map[string]string{"AWS_REGION": "eu-west-1", "AWS_PROFILE": "nobody", "AWS_ENDPOINT_URL": elsewhere.URL, "HTTP_PROXY": elsewhere.URL}
	for _, service := range []string{"ECS", "SQS", "DYNAMODB", "DYNAMODB_STREAMS", "S3"} {
		settings["AWS_ENDPOINT_URL_"+service] = elsewhere.URL
	}
	environment(t, settings)
	clients := awsclient.Local(here.URL)
	for name, call := range calls(clients) {
		if err := call(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if got, other := here.calls.Load(), elsewhere.calls.Load(); got != 5 || other != 0 {
		t.Errorf("%d calls arrived and %d went elsewhere", got, other)
	}
	if clients.Region != "us-east-1" {
		t.Errorf("region is %s", clients.Region)
	}
}

func TestLoadWithoutARegionSaysWhatToSet(t *testing.T) {
	environment(t, nil)
	_, err := awsclient.Load(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("error is %v", err)
	}
}

func TestTheGivenRegionCountsBeforeTheEnvironments(t *testing.T) {
	environment(t, map[string]string{"AWS_REGION": "eu-west-1"})
	for given, want := range map[string]string{"": "eu-west-1", "eu-north-1": "eu-north-1"} {
		clients, err := awsclient.Load(t.Context(), given)
		if err != nil {
			t.Fatal(err)
		}
		if clients.Region != want {
			t.Errorf("given %q, the region is %s", given, clients.Region)
		}
	}
}

func TestTheBucketIsInThePathOnlyWhereTheEndpointIsNotAWSs(t *testing.T) {
	server := listen(t, http.StatusNotFound)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(clients *awsclient.Clients, options ...func(*s3.Options)) {
		_, _ = clients.S3.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("spate-data"), Key: aws.String("a")}, options...)
	}
	environment(t, map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"})
	for _, host := range []string{"127.0.0.1", "localhost"} {
		endpoint := net.JoinHostPort(host, port)
		ask(awsclient.Local("http://" + endpoint))
		t.Setenv("AWS_ENDPOINT_URL_S3", "http://"+endpoint)
		loaded, err := awsclient.Load(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		ask(loaded)
		if err := os.Unsetenv("AWS_ENDPOINT_URL_S3"); err != nil {
			t.Fatal(err)
		}
		server.mu.Lock()
		for _, path := range server.paths {
			if path != endpoint+"/spate-data/a" {
				t.Errorf("asked for %s", path)
			}
		}
		if len(server.paths) != 2 {
			t.Errorf("asked %d times: %v", len(server.paths), server.paths)
		}
		server.paths = nil
		server.mu.Unlock()
	}
	loaded, err := awsclient.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	asked := &recorder{}
	ask(loaded, func(o *s3.Options) { o.HTTPClient = asked })
	if want := "https://spate-data.s3.us-east-1.amazonaws.com/a"; asked.url == nil || asked.url.String() != want {
		t.Errorf("asked AWS for %v, want %s", asked.url, want)
	}
}

// recorder is an HTTP client that goes nowhere.
type recorder struct{ url *url.URL }

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	r.url = request.URL
	return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: request}, nil
}

func TestLongPollsOutliveTheWaitForHeaders(t *testing.T) {
	clients := awsclient.Local("http://127.0.0.1:1")
	built, ok := clients.SQS.Options().HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		t.Fatalf("the HTTP client is a %T", clients.SQS.Options().HTTPClient)
	}
	transport := built.GetTransport()
	if wait := transport.ResponseHeaderTimeout; wait < 25*time.Second || wait > time.Minute {
		t.Errorf("answers are awaited for %s: a long poll takes 20 s, and an answer that never comes must end", wait)
	}
	if built.GetTimeout() != 0 {
		t.Errorf("whole requests end after %s: large objects take longer", built.GetTimeout())
	}
	if transport.MaxConnsPerHost == 0 || transport.MaxIdleConnsPerHost < transport.MaxConnsPerHost {
		t.Errorf("%d connections, of which %d are kept", transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost)
	}
	if d := built.GetDialer(); d.Timeout == 0 || d.Timeout > 10*time.Second {
		t.Errorf("connecting may take %s", d.Timeout)
	}
}
