// Package httpapi serves what watches a controller: /healthz (the process lives), /readyz (it leads, or stands by) and
// /metrics. It decides nothing.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options of a server. All are required.
type Options struct {
	Listen string                        // host:port
	Ready  func() (role string, ok bool) // role is "leader" or "standby"; ok, whether it does its part
	Gather prometheus.Gatherer
}

// Server is an HTTP server that is listening. Run must follow, also to release the port.
type Server struct {
	listener net.Listener
	server   *http.Server
}

// Listen opens the port, so that a taken one is an error at start.
func Listen(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", o.Listen) //nolint:noctx // binding a port does not wait
	if err != nil {
		return nil, fmt.Errorf("serve HTTP: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		role, ok := o.Ready()
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, role)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gather, promhttp.HandlerOpts{}))
	return &Server{listener, &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	}}, nil
}

// Address is where it listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// shutdownTime is what requests under way are given when the server ends.
const shutdownTime = 2 * time.Second

// Run serves until ctx ends, and returns ctx's error, or what ended it before.
func (s *Server) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if s.server.Shutdown(ctx) != nil {
			s.server.Close()
		}
	})
	err := s.server.Serve(s.listener)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return ctx.Err()
	}
	s.server.Close()
	return fmt.Errorf("serve HTTP: %w", err)
}
