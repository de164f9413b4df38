// Package telemetry makes the logger and the metrics registry that are handed to everything else.
package telemetry

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// Logger writes JSON lines, or short coloured lines when out is a terminal. level is one of zerolog's names; an unknown
// one means info.
func Logger(out io.Writer, level string) zerolog.Logger {
	l, err := zerolog.ParseLevel(level)
	if err != nil || level == "" {
		l = zerolog.InfoLevel
	}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		out = zerolog.ConsoleWriter{Out: f, TimeFormat: time.TimeOnly, FieldsExclude: onlyForPrograms()}
	}
	return zerolog.New(out).Level(l).With().Timestamp().Logger()
}

// onlyForPrograms are fields that repeat in parts what a line says, or what whoever sits before the terminal knows.
func onlyForPrograms() []string {
	return []string{"environment", "loop", "wanted", "have", "launch", "limit", "progress"}
}

// Printer gives what a library prints to a logger, at debug level: whoever called the library tells of its errors.
type Printer struct{ Log zerolog.Logger }

// Printf logs one line.
func (p Printer) Printf(_ context.Context, format string, v ...any) { p.Log.Debug().Msgf(format, v...) }

// Registry is a metrics registry with Go's own and the process's metrics.
func Registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
