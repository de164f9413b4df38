package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"spate/sandbox/child"
)

// kit installs what others wrote. Each thing has a directory in the cache, named by what its list asks for: a changed list is
// installed anew, an unchanged one once. One thing is installed at a time: moto and boto3 share theirs.
type kit struct {
	cache, sources string
	mu             sync.Mutex
}

// python gives the interpreter of an environment with what requirements.txt lists.
func (k *kit) python(ctx context.Context) (string, error) {
	dir, err := k.install("requirements.txt", func(dir, list string) error {
		if err := k.do(ctx, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return k.do(ctx, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", list)
	})
	return filepath.Join(dir, "bin", "python"), err
}

// packages gives a directory with the Python packages of a list.
func (k *kit) packages(ctx context.Context, list string) (string, error) {
	return k.install(list, func(dir, list string) error {
		return k.do(ctx, "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", dir, "-r", list)
	})
}

// jars gives a directory with what a project file depends on.
func (k *kit) jars(ctx context.Context, project string) (string, error) {
	return k.install(project, func(dir, list string) error {
		return k.do(ctx, "mvn", "--quiet", "--batch-mode", "--file", list, "dependency:copy-dependencies", "-DoutputDirectory="+dir)
	})
}

// installed marks a directory that is whole.
const installed = ".installed"

func (k *kit) install(list string, do func(dir, list string) error) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	path := filepath.Join(k.sources, list)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("install %s: %w", list, err)
	}
	sum := sha256.Sum256(text)
	dir := filepath.Join(k.cache, strings.TrimSuffix(list, filepath.Ext(list))+"-"+hex.EncodeToString(sum[:4]))
	if _, err := os.Stat(filepath.Join(dir, installed)); err == nil { //nolint:gosec // the directory is the cache of whoever runs this
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil { //nolint:gosec // the directory is the cache of whoever runs this
		return "", fmt.Errorf("install %s: %w", list, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the directory is the cache of whoever runs this
		return "", fmt.Errorf("install %s: %w", list, err)
	}
	if err := do(dir, path); err != nil {
		return "", fmt.Errorf("install %s: %w", list, err)
	}
	if err := os.WriteFile(filepath.Join(dir, installed), nil, 0o644); err != nil { //nolint:gosec // the directory is the cache of whoever runs this
		return "", fmt.Errorf("install %s: %w", list, err)
	}
	return dir, nil
}

// do runs a command to its end; its error has the last line that it wrote.
func (k *kit) do(ctx context.Context, program string, arguments ...string) error {
	var output bytes.Buffer
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdout, command.Stderr, command.SysProcAttr, command.WaitDelay = &output, &output, child.Group(), time.Second
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, lastLine(output.String()))
	}
	return nil
}

// lastLine is the last line with words in it that is no mere pointer to help.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		line := strings.TrimSpace(lines[len(lines)-1-i])
		if line != "" && !strings.Contains(line, "[Help") && !strings.Contains(line, "Re-run") && !strings.HasPrefix(line, "[ERROR] For more") && line != "[ERROR]" {
			return line
		}
	}
	return ""
}
