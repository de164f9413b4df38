// Package awsclient makes the AWS SDK clients that everything shares, and says once what their errors mean.
//
// The clients take region, credentials and endpoints from the SDK's standard sources; AWS_ENDPOINT_URL pointed at the
// sandbox is all that local use needs. ECS calls are not retried by the SDK: the launcher paces them itself, and a
// hidden retry would hide throttling from it. The other clients use the SDK's standard retries. Nothing here reads the
// environment but the SDK, in [Load].
package awsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/logging"
)

// Clients are the SDK clients of one process. They are safe for concurrent use.
type Clients struct {
	ECS      *ecs.Client
	SQS      *sqs.Client
	DynamoDB *dynamodb.Client
	Streams  *dynamodbstreams.Client
	S3       *s3.Client
	Region   string
}

// maxConnections bounds the open connections to one host: enough for every loop of a controller, and for the HEAD
// requests of a reconciliation, without running out of ports.
const maxConnections = 256

// ErrNoRegion says that nothing names a Region: neither the caller nor the SDK's standard sources.
var ErrNoRegion = errors.New("there is no AWS Region: set AWS_REGION, or region in the configuration file")

// Load makes the clients. An empty region leaves it to the SDK's standard sources, and is ErrNoRegion
// where they have none.
func Load(ctx context.Context, region string) (*Clients, error) {
	// The SDK's own warnings, such as that of the metadata service it asked for credentials, tell no more than its errors.
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient()), config.WithLogger(logging.Nop{})}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, ErrNoRegion
	}
	return FromConfig(cfg), nil
}

// FromConfig makes the clients from an SDK configuration.
func FromConfig(cfg aws.Config) *Clients {
	return &Clients{
		ECS:      ecs.NewFromConfig(cfg, func(o *ecs.Options) { o.Retryer = aws.NopRetryer{} }),
		SQS:      sqs.NewFromConfig(cfg),
		DynamoDB: dynamodb.NewFromConfig(cfg),
		Streams:  dynamodbstreams.NewFromConfig(cfg),
		S3:       s3.NewFromConfig(cfg, pathStyle),
		Region:   cfg.Region,
	}
}

// pathStyle names the bucket in the path where the endpoint is somebody else's than AWS's own: http://bucket.localhost
// need not resolve.
func pathStyle(o *s3.Options) {
	if o.BaseEndpoint != nil {
		o.UsePathStyle = true
	}
}

// Local makes clients for a sandbox whose endpoint (a URL) is known, without looking at the environment. Any credentials
// do.
func Local(endpoint string) *Clients {
	return FromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: httpClient(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox", Source: "sandbox"}, nil
		}),
	})
}

// Retried lets the SDK retry one call of ECS as it does those of the other services: for reads that nobody paces. Without
// that, a connection that the HTTP client closes while it reads an answer (https://github.com/aws/aws-sdk-go-v2/issues/2737)
// fails the call.
func Retried(o *ecs.Options) { o.Retryer = retry.NewStandard() }

func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = 5 * time.Second }).
		WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = maxConnections
			t.MaxConnsPerHost = maxConnections
			t.MaxIdleConns = 4 * maxConnections
			t.ResponseHeaderTimeout = 40 * time.Second // long polls take 20
		})
}
