package sandbox

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// redisTick is how often keys' times to live are brought up to date.
const redisTick = 100 * time.Millisecond

// redisServer is an in-memory Redis on loopback.
type redisServer struct{ server *miniredis.Miniredis }

func openRedis(address string) (*redisServer, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(address); err != nil {
		return nil, fmt.Errorf("listen for redis clients: %w", err)
	}
	return &redisServer{server: server}, nil
}

// newRedis has no port: clients dial it in process.
func newRedis() *redisServer { return &redisServer{server: miniredis.NewMiniRedis()} }

func (r *redisServer) dial() (net.Conn, error) { return r.server.Dial() }

func (r *redisServer) address() string { return r.server.Addr() }

// run lets keys expire until ctx ends: the library's clock stands still unless
// it is pushed.
func (r *redisServer) run(ctx context.Context) error {
	tick := time.NewTicker(redisTick)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			r.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

func (r *redisServer) close() { r.server.Close() }
