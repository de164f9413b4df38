package contract

import (
	"context"
	"net"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Target is where a server is.
type Target struct {
	// Endpoint is the URL of the AWS services; QueueEndpoint is that of SQS where another server has it.
	Endpoint, QueueEndpoint string
	// HTTP carries the requests; nil means the SDK's own client.
	HTTP aws.HTTPClient
	// Redis is a redis:// URL; DialRedis connects in its place where it is set.
	Redis     string
	DialRedis func(ctx context.Context) (net.Conn, error)
	// Subnet is one that tasks may be launched in; empty means "subnet-a", for a server that knows no subnets.
	Subnet string
}

// How often the SDK sends a request, and how long it waits at most: a server that throttles is given time, since no fact but
// those about throttling is about how fast it is.
const (
	tries      = 8
	maxBackoff = 500 * time.Millisecond
)

func (t Target) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(t.Endpoint), HTTPClient: t.HTTP,
		Credentials: credentials.NewStaticCredentialsProvider("contract", "contract", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff, o.RateLimiter = tries, maxBackoff, unlimited{}
			})
		},
	}
}

// unlimited lets every retry happen.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }
