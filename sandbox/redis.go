package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// redisTick is how often keys' times to live are brought up to date.
const redisTick = time.Second

// redisServer is a Redis behind a port of the sandbox's own, so that it can fall silent, lose everything, or come back
// as it was before, whichever Redis it is.
type redisServer struct {
	backend  redisBackend
	listener net.Listener // nil in process
	admin    *redis.Client

	pumps sync.WaitGroup
	mu    sync.Mutex
	open  map[net.Conn]struct{}
	hung  chan struct{} // closed when it answers again; nil while it does
	ended bool
	saved []savedKey
}

// redisBackend is the Redis itself.
type redisBackend interface {
	dial(ctx context.Context) (net.Conn, error)
	run(ctx context.Context) error // until ctx ends
	close() error
}

// embedded is an in-memory Redis without a port.
type embedded struct{ server *miniredis.Miniredis }

func (e embedded) dial(context.Context) (net.Conn, error) { return e.server.Dial() }

// run lets keys expire: the library's clock stands still unless it is pushed.
func (e embedded) run(ctx context.Context) error {
	tick := time.NewTicker(redisTick)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			e.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

func (e embedded) close() error {
	e.server.Close()
	return nil
}

// newRedis puts a port before a backend; an empty address means none: clients dial it in process.
func newRedis(backend redisBackend, address string) (*redisServer, error) {
	r := &redisServer{backend: backend, open: map[net.Conn]struct{}{}}
	r.admin = redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:1", // never dialled; without one the client resolves localhost, which a bubble of virtual time forbids
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return backend.dial(ctx) }, PoolSize: 1, DisableIdentity: true,
	})
	if address == "" {
		return r, nil
	}
	var err error
	if r.listener, err = net.Listen("tcp", address); err != nil { //nolint:noctx // binding a loopback port does not wait
		return nil, errors.Join(fmt.Errorf("listen for redis clients: %w", err), r.admin.Close(), backend.close())
	}
	r.pumps.Go(func() {
		for {
			conn, err := r.listener.Accept()
			if err != nil {
				return // it was closed
			}
			r.serve(conn)
		}
	})
	return r, nil
}

func (r *redisServer) address() string { return r.listener.Addr().String() }

// dial connects a client without a port.
func (r *redisServer) dial() (net.Conn, error) {
	client, server := net.Pipe()
	if !r.serve(server) {
		return nil, net.ErrClosed
	}
	return client, nil
}

// serve carries bytes between a client and the backend until either is gone; false when it is all over.
func (r *redisServer) serve(client net.Conn) bool {
	server, err := r.backend.dial(context.Background())
	if err != nil {
		_ = client.Close() // the client sees it gone
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		_, _ = client.Close(), server.Close()
		return false
	}
	r.open[client], r.open[server] = struct{}{}, struct{}{}
	carry := func(to, from net.Conn) {
		defer r.leave(to, from)
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				r.awaitAnswers()
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	r.pumps.Go(func() { carry(server, client) })
	r.pumps.Go(func() { carry(client, server) })
	return true
}

func (r *redisServer) leave(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // it may be closed already
		delete(r.open, c)
	}
}

// awaitAnswers waits while the Redis is silent.
func (r *redisServer) awaitAnswers() {
	r.mu.Lock()
	hung := r.hung
	r.mu.Unlock()
	if hung != nil {
		<-hung
	}
}

// hang makes it silent for a while: connections stay, and nothing passes. Called again it starts anew.
func (r *redisServer) hang(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	if r.hung == nil {
		r.hung = make(chan struct{})
	}
	hung := r.hung
	time.AfterFunc(d, func() { r.resume(hung) })
}

func (r *redisServer) resume(hung chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hung == hung && hung != nil {
		close(hung)
		r.hung = nil
	}
}

func (r *redisServer) run(ctx context.Context) error { return r.backend.run(ctx) }

func (r *redisServer) close() error {
	r.mu.Lock()
	r.ended = true
	if r.hung != nil {
		close(r.hung)
		r.hung = nil
	}
	for c := range r.open {
		_ = c.Close() // the pumps take note
	}
	r.mu.Unlock()
	var errs []error
	if r.listener != nil {
		errs = append(errs, r.listener.Close())
	}
	r.pumps.Wait()
	return errors.Join(append(errs, r.admin.Close(), r.backend.close())...)
}

// savedKey is a key as it was.
type savedKey struct {
	name  string
	left  time.Duration // to live; negative: for ever
	write func(ctx context.Context, to redis.Pipeliner)
}

// errUnsavable is for values that nobody here keeps.
var errUnsavable = errors.New("only strings, sets, hashes, lists and sorted sets can be saved")

// save remembers all keys for restore.
func (r *redisServer) save(ctx context.Context) error {
	var saved []savedKey
	keys := r.admin.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		key, err := r.saveKey(ctx, keys.Val())
		if err != nil {
			return fmt.Errorf("save key %s: %w", keys.Val(), err)
		}
		saved = append(saved, key)
	}
	if err := keys.Err(); err != nil {
		return fmt.Errorf("save keys: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = saved
	return nil
}

func (r *redisServer) saveKey(ctx context.Context, name string) (savedKey, error) {
	kind, err := r.admin.Type(ctx, name).Result()
	if err != nil {
		return savedKey{}, err
	}
	left, err := r.admin.PTTL(ctx, name).Result()
	if err != nil {
		return savedKey{}, err
	}
	key := savedKey{name: name, left: left}
	switch kind {
	case "string":
		var value string
		value, err = r.admin.Get(ctx, name).Result()
		key.write = func(ctx context.Context, to redis.Pipeliner) { to.Set(ctx, name, value, 0) }
	case "set":
		var members []string
		members, err = r.admin.SMembers(ctx, name).Result()
		key.write = func(ctx context.Context, to redis.Pipeliner) { to.SAdd(ctx, name, anyOf(members)...) }
	case "hash":
		var fields map[string]string
		fields, err = r.admin.HGetAll(ctx, name).Result()
		key.write = func(ctx context.Context, to redis.Pipeliner) { to.HSet(ctx, name, fields) }
	case "list":
		var items []string
		items, err = r.admin.LRange(ctx, name, 0, -1).Result()
		key.write = func(ctx context.Context, to redis.Pipeliner) { to.RPush(ctx, name, anyOf(items)...) }
	case "zset":
		var members []redis.Z
		members, err = r.admin.ZRangeWithScores(ctx, name, 0, -1).Result()
		key.write = func(ctx context.Context, to redis.Pipeliner) { to.ZAdd(ctx, name, members...) }
	default:
		return savedKey{}, fmt.Errorf("it is a %s: %w", kind, errUnsavable)
	}
	return key, err
}

func anyOf(texts []string) []any {
	all := make([]any, len(texts))
	for i, t := range texts {
		all[i] = t
	}
	return all
}

// restore replaces everything by what save remembered, and cuts all connections, as a failover to a replica that was
// behind does.
func (r *redisServer) restore(ctx context.Context) error {
	r.mu.Lock()
	saved := r.saved
	r.mu.Unlock()
	if saved == nil {
		return errors.New("nothing was saved")
	}
	pipe := r.admin.TxPipeline()
	pipe.FlushAll(ctx)
	for _, key := range saved {
		key.write(ctx, pipe)
		if key.left > 0 {
			pipe.PExpire(ctx, key.name, key.left)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("restore keys: %w", err)
	}
	r.cut()
	return nil
}

// flush removes everything, and cuts all connections, as a failover to an empty node does.
func (r *redisServer) flush(ctx context.Context) error {
	if err := r.admin.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	r.cut()
	return nil
}

// cut closes all connections of clients.
func (r *redisServer) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		_ = c.Close() // the pumps take note
	}
}
