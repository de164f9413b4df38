package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"spate/cache"
	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/provision"
	"spate/internal/queue"
	"spate/internal/table"
	"spate/job"
	"spate/sandbox"
	"spate/test/contract"
)

// cacheConfiguration names what the cache needs; tasks are none of its business.
const cacheConfiguration = `
tables: {runs: cache-runs, outputs: cache-outputs}
bucket: cache-data
redis: {url: "redis://127.0.0.1:1"}
queues: {submissions: submissions, events: events, outputs: created}
pools: [{name: rollup, queue: rollup, cluster: hpc, task_definition: rollup, subnets: [a], max: 1, capacity: [{provider: FARGATE, max: 1}]}]
tasks: {price: {command: ["true"]}}
`

// cacheOutputs is how many outputs go through the cache: enough for several pages of each of its calls.
const cacheOutputs = 500

// runCache has the cache's own loops run on what the target has of DynamoDB and Redis, and on the sandbox's services for the
// rest: outputs become hits and, when they are deleted, misses; a follower that comes later goes on, or
// builds anew; and an item past its time to live goes by itself. It returns how long the latter took.
func runCache(ctx context.Context, target contract.Target) (expired time.Duration, err error) {
	dir, remove, err := scratch()
	if err != nil {
		return 0, err
	}
	defer remove()
	box, stop, err := launch(ctx, sandbox.Options{LogDir: dir})
	if err != nil {
		return 0, err
	}
	defer stop()
	if target.Endpoint == "" {
		target.Endpoint = box.Endpoint()
	}
	if target.Redis == "" {
		target.Redis = box.RedisURL()
	}
	c := cacheCheck{
		ctx: ctx, tables: awsclient.Local(target.Endpoint), others: awsclient.Local(box.Endpoint()),
		keys: make([]job.Key, cacheOutputs),
	}
	for i := range c.keys {
		if c.keys[i], err = job.KeyOf([job.KeySize]byte{byte(i), byte(i >> 8), 1}, nil); err != nil {
			return 0, err
		}
	}
	options, err := redis.ParseURL(target.Redis)
	if err != nil {
		return 0, fmt.Errorf("open Redis: %w", err)
	}
	c.redis = redis.NewClient(options)
	defer func() { _ = c.redis.Close() }()
	if err := c.prepare(); err != nil {
		return 0, err
	}
	if err := c.carry(); err != nil {
		return 0, err
	}
	return c.expire()
}

type cacheCheck struct {
	ctx            context.Context
	tables, others *awsclient.Clients
	redis          *redis.Client
	queue          *queue.Queue
	objects        *objects.Store
	keys           []job.Key
}

// prepare deploys: tables here, the rest there.
func (c *cacheCheck) prepare() error {
	cfg, err := config.Parse("spate.yaml", []byte(cacheConfiguration), nil)
	if err != nil {
		return err
	}
	mixed := *c.others
	mixed.DynamoDB, mixed.Streams = c.tables.DynamoDB, c.tables.Streams
	image := provision.Image{Name: "spate@sha256:" + strings.Repeat("0", 64), Command: []string{"spate"}, CPU: "X86_64"}
	if err := provision.Create(c.ctx, &mixed, cfg, image); err != nil {
		return err
	}
	url, err := c.others.SQS.GetQueueUrl(c.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(cfg.Queues.Outputs)})
	if err != nil {
		return fmt.Errorf("find queue: %w", err)
	}
	c.queue, c.objects = queue.At(c.others.SQS, aws.ToString(url.QueueUrl)), objects.New(c.others.S3, cfg.Bucket)
	return nil
}

// with runs a controller's cache while something is done.
func (c *cacheCheck) with(do func(*cache.Cache) error) error {
	outputs, err := cache.New(cache.Options{
		Redis: c.redis, DynamoDB: c.tables.DynamoDB, Streams: c.tables.Streams, OutputsTable: "cache-outputs",
		Records: cache.NewTableRecords(table.New(c.tables.DynamoDB, "cache-runs")), Queue: c.queue, Objects: c.objects,
		Bucket: c.objects.Bucket(), Retention: 30 * 24 * time.Hour, Log: zerolog.Nop(),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.ctx)
	ended := make(chan error, 1)
	go func() { ended <- outputs.Run(ctx) }()
	err = do(outputs)
	cancel()
	if ran := <-ended; !errors.Is(ran, context.Canceled) {
		err = errors.Join(err, ran)
	}
	return err
}

// carry takes outputs from S3 to the view and out of it, through two controllers, one after the other.
func (c *cacheCheck) carry() error {
	half := len(c.keys) / 2
	err := c.with(func(outputs *cache.Cache) error {
		for _, k := range c.keys[:half] {
			if err := c.publish(k); err != nil {
				return err
			}
		}
		return c.says(outputs, job.Hit, c.keys[:half])
	})
	if err != nil {
		return fmt.Errorf("the first controller: %w", err)
	}
	for _, k := range c.keys[half:] { // while nobody leads
		if err := c.publish(k); err != nil {
			return err
		}
	}
	err = c.with(func(outputs *cache.Cache) error {
		if err := c.says(outputs, job.Hit, c.keys); err != nil {
			return err
		}
		for _, k := range c.keys[:half] {
			if err := c.objects.Delete(c.ctx, job.ManifestPath(k), objects.Condition{}); err != nil {
				return err
			}
		}
		if err := c.says(outputs, job.Miss, c.keys[:half]); err != nil {
			return err
		}
		return c.says(outputs, job.Hit, c.keys[half:])
	})
	if err != nil {
		return fmt.Errorf("the second controller: %w", err)
	}
	return nil
}

// expire has an item expire, and waits until the view has it no more although nobody told of it.
func (c *cacheCheck) expire() (took time.Duration, err error) {
	err = c.with(func(outputs *cache.Cache) error {
		k, now := c.keys[0], time.Now()
		o := cache.Output{Key: k, CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(4 * time.Second), Bytes: 1, Run: "run"}
		if err := outputs.Ledger.Write(c.ctx, []cache.Output{o}, nil); err != nil {
			return err
		}
		if err := c.says(outputs, job.Hit, []job.Key{k}); err != nil {
			return err
		}
		err := c.says(outputs, job.Miss, []job.Key{k})
		took = time.Since(o.ExpiresAt)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("time to live: %w", err)
	}
	return took, nil
}

func (c *cacheCheck) publish(k job.Key) error {
	m := job.Manifest{V: job.MessageVersion, Key: k, Attempt: "a", Run: "run", Files: []job.File{{Path: "out", Size: 7}}}
	data, err := m.Encode()
	if err != nil {
		return err
	}
	_, err = c.objects.Put(c.ctx, job.ManifestPath(k), data, objects.Condition{})
	return err
}

// saysWithin is longer than a notification stays hidden that was on its way to the controller that ended.
const saysWithin = 3 * time.Minute

// says waits until the view alone says the same of all keys.
func (c *cacheCheck) says(outputs *cache.Cache, want job.Presence, keys []job.Key) error {
	ctx, cancel := context.WithTimeout(c.ctx, saysWithin)
	defer cancel()
	for {
		differ := len(keys)
		if mark, live := outputs.Epochs.Current(ctx, time.Now()); live {
			differ = 0
			for _, got := range outputs.View.Lookup(ctx, mark, keys).Presence {
				if got != want {
					differ++
				}
			}
		}
		if differ == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the view does not call %d of %d outputs a %s", differ, len(keys), want)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
