package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"spate/internal/awsclient"
	"spate/internal/config"
	"spate/internal/objects"
	"spate/internal/table"
)

// outputFlag is the --output of every command that prints something.
type outputFlag struct {
	Output string `help:"How to print: ${enum}." enum:"text,json" default:"text" short:"o"`
}

func (o outputFlag) json() bool { return o.Output == "json" }

// configFlag names the configuration file.
type configFlag struct {
	Config string `help:"Configuration file." type:"path" env:"SPATE_CONFIG" default:"spate.yaml" placeholder:"FILE"`
}

// installation is what a command of the outside needs of one: its configuration and its services.
type installation struct {
	cfg     *config.Config
	clients *awsclient.Clients
	runs    *table.Table
	objects *objects.Store
}

func (f configFlag) open(ctx context.Context, p *program) (*installation, error) {
	cfg, err := config.Load(f.Config, p.environ)
	if err != nil {
		return nil, err
	}
	clients, err := awsclient.Load(ctx, cfg.Region)
	if err != nil {
		return nil, err
	}
	return &installation{cfg, clients, table.New(clients.DynamoDB, cfg.Tables.Runs), objects.New(clients.S3, cfg.Bucket)}, nil
}

// printJSON writes one JSON value, indented.
func printJSON(w io.Writer, v any) error {
	data, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", data)
	return err
}

// rows prints an aligned table; columns of numbers stand to the right.
func rows(w io.Writer, header []string, body [][]string) error {
	width := make([]int, len(header))
	right := make([]bool, len(header))
	for i := range header {
		width[i], right[i] = utf8.RuneCountInString(header[i]), len(body) > 0
		for _, row := range body {
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
			right[i] = right[i] && row[i] != "" && row[i][0] >= '0' && row[i][0] <= '9' && !strings.HasSuffix(row[i], "ago")
		}
	}
	for _, row := range append([][]string{header}, body...) {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				cell = pad + cell
			} else {
				cell += pad
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// ago is a time as people say it.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	switch d := now.Sub(t); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return t.Format(time.DateOnly)
}

// took is how long something lasted, in few digits.
func took(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}
