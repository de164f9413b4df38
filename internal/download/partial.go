package download

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// partialDir is where files lie, in the directory itself, until all of them has come. Several downloads may share it.
const partialDir = ".spate-partial"

// left is how old a partial file is that nobody writes any more: a download gives up long before.
const left = time.Hour

// partial is the directory of partial files.
type partial struct{ root *os.Root }

// openPartial makes the directory if need be, and removes from it what downloads left that were killed.
func openPartial(root *os.Root, now time.Time) (*partial, error) {
	if err := root.MkdirAll(partialDir, 0o777); err != nil {
		return nil, fmt.Errorf("make directory of partial files: %w", err)
	}
	p := &partial{root}
	entries, err := fs.ReadDir(root.FS(), partialDir)
	if err != nil {
		return nil, fmt.Errorf("read directory of partial files: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > left {
			p.remove(filepath.Join(partialDir, e.Name()))
		}
	}
	return p, nil
}

// close removes the directory unless another download uses it.
func (p *partial) close() { _ = p.root.Remove(partialDir) }

// create makes a file of a name that no other has. Another download, at its end, may have removed the directory.
func (p *partial) create() (*os.File, string, error) {
	name := filepath.Join(partialDir, strings.ToLower(rand.Text()))
	for try := 1; ; try++ {
		f, err := p.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrNotExist) || try == tries {
			return f, name, err
		}
		if err := p.root.MkdirAll(partialDir, 0o777); err != nil {
			return nil, "", err
		}
	}
}

func (p *partial) remove(name string) { _ = p.root.Remove(name) }

// foldsCase reports whether the file system takes names for equal that differ in case only.
func (p *partial) foldsCase() (bool, error) {
	f, name, err := p.create()
	if err != nil {
		return false, fmt.Errorf("make partial file: %w", err)
	}
	defer p.remove(name)
	if err := f.Close(); err != nil {
		return false, fmt.Errorf("make partial file: %w", err)
	}
	_, err = p.root.Lstat(filepath.Join(partialDir, strings.ToUpper(filepath.Base(name))))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look for partial file: %w", err)
	}
	return err == nil, nil
}
