package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"spate/internal/provision"
)

// Names of the programs in the workers' image.
const (
	workerProgram = "spate"
	ModelProgram  = "rollup" // the example's model
)

// Programs are the files that the sandbox's workers run, by the name they are called by.
type Programs map[string]string

// FindPrograms finds this program, and beside it the example's model as a small program of its own, which starts much
// faster. Where there is none, this program is the model too.
func FindPrograms() (Programs, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	programs := Programs{workerProgram: self, ModelProgram: self}
	model := filepath.Join(filepath.Dir(self), ModelProgram)
	switch info, err := os.Stat(model); {
	case err == nil && info.Mode().IsRegular():
		programs[ModelProgram] = model
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("find the example's model: %w", err)
	}
	return programs, nil
}

// Link makes the programs callable by their names from a directory, whatever the files are called.
func (p Programs) Link(dir string) error {
	for name, file := range p {
		if err := os.Symlink(file, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

// Image is the programs as a container image: its digest is made from their bytes, so that another build has other
// keys.
func (p Programs) Image() (provision.Image, error) {
	sum := sha256.New()
	for _, name := range []string{workerProgram, ModelProgram} {
		if err := hashFile(sum, p[name]); err != nil {
			return provision.Image{}, fmt.Errorf("read %s: %w", name, err)
		}
	}
	cpu := "X86_64"
	if runtime.GOARCH == "arm64" {
		cpu = "ARM64"
	}
	return provision.Image{Name: "spate@sha256:" + hex.EncodeToString(sum.Sum(nil)), Command: []string{workerProgram, "worker"}, CPU: cpu}, nil
}

func hashFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
