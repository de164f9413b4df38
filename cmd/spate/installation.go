package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"spate/cache"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/table"
	"spate/planner/report"
)

// configFlag names the configuration file.
type configFlag struct {
	Config string `help:"Configuration file (default ${default})." type:"path" env:"SPATE_CONFIG" default:"spate.yaml" placeholder:"FILE"`
}

// installation is what a command of the outside needs of one: its configuration and its services.
type installation struct {
	cfg     *config.Config
	clients *awsclient.Clients
	runs    *table.Table
	objects *objects.Store
}

// contactTimeout bounds how long a command waits for its first words with AWS, the SDK's own retries included.
const contactTimeout = 20 * time.Second

// open reads the configuration and finds Region, credentials and endpoint. No service has been called when it returns.
func (f configFlag) open(ctx context.Context, p *program) (*installation, error) {
	cfg, err := loadConfig(f.Config, p.environ)
	if err != nil {
		return nil, err
	}
	if err := checkEndpoints(p.environ); err != nil {
		return nil, err
	}
	clients, err := awsclient.Load(ctx, cfg.Region)
	if err != nil {
		return nil, err
	}
	if err := checkCredentials(ctx, clients); err != nil {
		return nil, err
	}
	return &installation{cfg, clients, table.New(clients.DynamoDB, cfg.Tables.Runs), objects.New(clients.S3, cfg.Bucket)}, nil
}

// reader reads what runs left behind.
func (in *installation) reader() (*report.Reader, error) {
	ledger, err := cache.NewLedger(cache.LedgerOptions{Client: in.clients.DynamoDB, Table: in.cfg.Tables.Outputs})
	if err != nil {
		return nil, err
	}
	return &report.Reader{Table: in.runs, Objects: in.objects, Outputs: ledger}, nil
}

func loadConfig(path string, environ []string) (*config.Config, error) {
	cfg, err := config.Load(path, environ)
	if errors.Is(err, fs.ErrNotExist) {
		if _, ok := errors.AsType[*config.Error](err); !ok { // such as one about a schema that is not there
			return nil, &problem{
				what: "there is no configuration file " + path,
				todo: "Name one with --config FILE or SPATE_CONFIG. `spate demo` needs none.",
			}
		}
	}
	return cfg, err
}

// checkEndpoints finds values of AWS_ENDPOINT_URL and its like that the SDK would only stumble over.
func checkEndpoints(environ []string) error {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, endpointVariable) || value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return &problem{what: fmt.Sprintf("%s is %q: want a URL, such as http://127.0.0.1:4566", name, value)}
		}
	}
	return nil
}

// checkCredentials looks for credentials before the first call does, because what that call would say is hard to read.
func checkCredentials(ctx context.Context, clients *awsclient.Clients) error {
	provider := clients.DynamoDB.Options().Credentials
	if provider == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, contactTimeout)
	defer cancel()
	if _, err := provider.Retrieve(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		what := "there are no AWS credentials"
		if reason := innermost(err).Error(); !strings.Contains(reason, "IMDS") { // the last place looked at, and rarely the one that was meant
			what += ": " + reason
		}
		return &problem{
			what: what,
			todo: "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. For a sandbox, export what `spate sandbox` prints.",
			err:  err,
		}
	}
	return nil
}
