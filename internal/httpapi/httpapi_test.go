package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"spate/internal/httpapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a server that runs.
type served struct {
	address string
	role    atomic.Value
	ok      atomic.Bool
	stop    func() error
}

func serve(t *testing.T, gather prometheus.Gatherer) *served {
	t.Helper()
	s := &served{}
	s.role.Store("standby")
	s.ok.Store(true)
	server, err := httpapi.Listen(httpapi.Options{
		Listen: "127.0.0.1:0", Gather: gather, Ready: func() (string, bool) { return fmt.Sprint(s.role.Load()), s.ok.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.address = server.Address()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stopped := false
	s.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = s.stop() })
	return s
}

func (s *served) ask(t *testing.T, method, path string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

func TestWhatWatchesAControllerIsAnswered(t *testing.T) {
	registry := prometheus.NewRegistry()
	launched := prometheus.NewCounter(prometheus.CounterOpts{Name: "spate_launched_total", Help: "h"})
	registry.MustRegister(launched)
	launched.Add(3)
	s := serve(t, registry)
	check := func(method, path string, status int, body string) {
		t.Helper()
		if gotStatus, got := s.ask(t, method, path); gotStatus != status || !strings.Contains(got, body) {
			t.Errorf("%s %s answers %d %q, want %d %q", method, path, gotStatus, got, status, body)
		}
	}
	check("GET", "/healthz", http.StatusOK, "ok\n")
	check("HEAD", "/healthz", http.StatusOK, "")
	check("GET", "/readyz", http.StatusOK, "standby\n")
	s.role.Store("leader")
	check("GET", "/readyz", http.StatusOK, "leader\n")
	s.ok.Store(false)
	check("GET", "/readyz", http.StatusServiceUnavailable, "leader\n")
	check("GET", "/metrics", http.StatusOK, "spate_launched_total 3\n")
	check("POST", "/healthz", http.StatusMethodNotAllowed, "")
	check("GET", "/", http.StatusNotFound, "")
}

type brokenGatherer struct{}

func (brokenGatherer) Gather() ([]*dto.MetricFamily, error) {
	return nil, errors.New("no metrics today")
}

func TestMetricsThatCannotBeGatheredAreAnError(t *testing.T) {
	s := serve(t, brokenGatherer{})
	if status, body := s.ask(t, "GET", "/metrics"); status != http.StatusInternalServerError || !strings.Contains(body, "no metrics today") {
		t.Errorf("answered %d %q", status, body)
	}
}

func TestATakenPortIsAnErrorAtStart(t *testing.T) {
	s := serve(t, prometheus.NewRegistry())
	_, err := httpapi.Listen(httpapi.Options{Listen: s.address})
	if err == nil || !strings.Contains(err.Error(), s.address) {
		t.Errorf("error is %v", err)
	}
}

func TestTheServerEndsWithItsContextAndFinishesRequests(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := serve(t, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		close(entered)
		<-leave
		return nil, nil
	}))
	// A client that keeps its connection open without asking anything does not hold the server up.
	idle, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	status := make(chan int, 1)
	go func() {
		got, _ := s.ask(t, "GET", "/metrics")
		status <- got
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	close(leave)
	if got := <-status; got != http.StatusOK {
		t.Errorf("the request under way was answered %d", got)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if _, err := bufio.NewReader(idle).ReadByte(); err == nil {
		t.Error("the idle connection is still open")
	}
	if c, err := net.Dial("tcp", s.address); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}

func TestAServerThatIsEndedBeforeItRunsReleasesThePort(t *testing.T) {
	server, err := httpapi.Listen(httpapi.Options{Listen: "127.0.0.1:0", Gather: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	again, err := net.Listen("tcp", server.Address())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
