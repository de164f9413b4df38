package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// redisGate forwards TCP connections to a Redis, and can cut it off: open connections end, new ones are refused.
type redisGate struct {
	address, target string

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	open     map[net.Conn]bool
	copying  sync.WaitGroup
}

func newRedisGate(t *testing.T, target string) *redisGate {
	t.Helper()
	g := &redisGate{address: "127.0.0.1:0", target: target, open: map[net.Conn]bool{}}
	g.Mend(t)
	t.Cleanup(g.Cut)
	return g
}

// URL is the Redis's, through the gate.
func (g *redisGate) URL() string { return "redis://" + g.address }

// Mend lets connections through, at the same address as before.
func (g *redisGate) Mend(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listener, g.address = listener, listener.Addr().String()
	g.copying.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			g.connect(client)
		}
	})
}

// Cut ends and refuses connections, and returns when nothing is forwarded any more.
func (g *redisGate) Cut() {
	g.mu.Lock()
	if g.listener != nil {
		_ = g.listener.Close()
		g.listener = nil
	}
	for c := range g.open {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.copying.Wait()
}

func (g *redisGate) connect(client net.Conn) {
	server, err := net.Dial("tcp", g.target)
	if err != nil {
		_ = client.Close()
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		_, _ = client.Close(), server.Close()
		return
	}
	g.open[client], g.open[server] = true, true
	forward := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // ends when either side does
		_, _ = to.Close(), from.Close()
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.open, to)
		delete(g.open, from)
	}
	g.copying.Go(func() { forward(server, client) })
	g.copying.Go(func() { forward(client, server) })
}
