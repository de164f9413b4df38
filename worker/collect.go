package worker

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"spate/job"
)

// maxFileBytes is the largest object that one PutObject takes (Amazon S3 quotas).
const maxFileBytes = 5 << 30

// output is the files that a job wrote, still on disk.
type output struct {
	files []outputFile // sorted by path, each once
	roots []*os.Root
}

type outputFile struct {
	job.File

	root *os.Root
	name string // below root
}

// close gives the directories back.
func (o *output) close() {
	for _, r := range o.roots {
		_ = r.Close()
	}
}

// manifestFiles are the files as a manifest lists them.
func (o *output) manifestFiles() []job.File {
	files := make([]job.File, len(o.files))
	for i, f := range o.files {
		files[i] = f.File
	}
	return files
}

// collect finds and hashes the files below the output directories, which are relative to work. A file's path is relative
// to its output directory, behind that directory's name when there are several. A file that cannot be published as it is
// fails the job; so does a symbolic link out of its directory, which would publish what is not the job's.
func collect(work string, dirs []string) (*output, error) {
	inWork, err := os.OpenRoot(work)
	if err != nil {
		return nil, onDisk(err)
	}
	defer inWork.Close()
	out := &output{}
	for _, dir := range dirs {
		prefix := ""
		if len(dirs) > 1 {
			prefix = path.Clean(dir)
		}
		if err := out.collect(inWork, dir, prefix); err != nil {
			out.close()
			return nil, err
		}
	}
	slices.SortFunc(out.files, func(a, b outputFile) int { return cmp.Compare(a.Path, b.Path) })
	// One output directory may lie in another.
	out.files = slices.CompactFunc(out.files, func(a, b outputFile) bool { return a.Path == b.Path })
	return out, nil
}

func (o *output) collect(work *os.Root, dir, prefix string) error {
	root, err := work.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the program removed it: nothing was written
	}
	if err != nil {
		return jobErrorf("output directory %q: %v", dir, err)
	}
	o.roots = append(o.roots, root)
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return jobErrorf("output %q: %v", name, err)
		}
		if entry.IsDir() {
			return nil
		}
		file, err := describe(root, name, path.Join(prefix, name))
		if err != nil {
			return err
		}
		o.files = append(o.files, outputFile{file, root, name})
		return nil
	})
}

// describe hashes a file. Links are followed as long as they stay below root.
func describe(root *os.Root, name, as string) (job.File, error) {
	if err := job.CheckPath(as); err != nil {
		return job.File{}, jobErrorf("output: %v", err)
	}
	info, err := root.Stat(name)
	switch {
	case err != nil:
		return job.File{}, jobErrorf("output %q is a link that leads nowhere or out of the output directory: %v", as, err)
	case !info.Mode().IsRegular():
		return job.File{}, jobErrorf("output %q is no regular file (%s)", as, info.Mode())
	case info.Size() > maxFileBytes:
		return job.File{}, jobErrorf("output %q has %d bytes, more than the %d that S3 takes at once", as, info.Size(), int64(maxFileBytes))
	}
	f, err := root.Open(name)
	if err != nil {
		return job.File{}, jobErrorf("output %q: %v", as, err)
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	if err != nil {
		return job.File{}, onDisk(err)
	}
	return job.File{Path: as, Size: n, SHA256: hex.EncodeToString(hash.Sum(nil))}, nil
}
