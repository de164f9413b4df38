package planner

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"spate/internal/objects"
	"spate/job"
)

// Prepared is a run file read and checked on the submitter's side, its jobs in a local file of JSON lines. Close it.
type Prepared struct {
	RunFile *job.RunFile
	Jobs    int    // 0 when the jobs lie in S3, where the controller counts them
	By      string // who submits, as records show it; may be empty

	file   *os.File // nil when the jobs lie in S3
	places places
}

// Close frees the local file.
func (p *Prepared) Close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// Prepare reads the run file at path and the jobs that it names, and checks all of them as the controller will. Its
// error names every fault with file, line and column. A nil catalogue leaves task types to the controller.
func Prepare(path string, catalogue job.Catalogue) (*Prepared, error) {
	return PrepareWith(path, PrepareOptions{Catalogue: catalogue})
}

// PrepareOptions say what a run file is checked against. The zero value leaves task types and pools to the controller.
type PrepareOptions struct {
	Catalogue job.Catalogue
	Pools     []string      // names of those that take runs
	External  []string      // names of those that do not, as other producers feed them
	Selection job.Selection // laid over the run file's own
}

// PrepareWith is Prepare with options. job.ErrNoOnly: see [job.RunFile.Override].
func PrepareWith(path string, o PrepareOptions) (*Prepared, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read run file: %w", err)
	}
	errs := &job.Errors{}
	run, err := job.ParseRunFile(path, data)
	errs.Merge(err)
	switch {
	case run == nil || o.Pools == nil || run.Pool == "" || slices.Contains(o.Pools, run.Pool):
	case slices.Contains(o.External, run.Pool):
		errs.Merge(run.ErrorAt(path, "pool", "%s", noRunsIn(run.Pool)))
	default:
		errs.Merge(run.ErrorAt(path, "pool", "there is no pool %q; the configuration has %s", run.Pool, strings.Join(o.Pools, ", ")))
	}
	if run == nil || errs.Len() > 0 && !jobsAtHand(run) {
		return nil, errs.Err()
	}
	if err := run.Override(o.Selection); err != nil {
		return nil, err
	}
	if strings.HasPrefix(run.JobsFrom, "s3://") {
		if err := errs.Err(); err != nil {
			return nil, err
		}
		if _, _, err := job.ParseObjectURL(run.JobsFrom); err != nil {
			return nil, run.ErrorAt(path, "jobs_from", "jobs_from: %v", err)
		}
		return &Prepared{RunFile: run, places: places{runFile: path}}, nil
	}
	if run.Reproduce != nil {
		if err := errs.Err(); err != nil {
			return nil, err
		}
		return &Prepared{RunFile: run}, nil
	}
	p, err := prepared(run)
	if err != nil {
		return nil, err
	}
	p.places.runFile = path
	if err := p.collect(path, o.Catalogue, errs); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// prepared is a run file with an empty local file for its jobs.
func prepared(run *job.RunFile) (*Prepared, error) {
	file, err := os.CreateTemp("", "spate-submit-*.jsonl")
	if err != nil {
		return nil, fmt.Errorf("prepare jobs: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, fmt.Errorf("prepare jobs: %w", err)
	}
	return &Prepared{RunFile: run, file: file}, nil
}

// jobsAtHand reports whether the jobs can be read here, also when there is something wrong with the run file.
func jobsAtHand(run *job.RunFile) bool {
	return len(run.Jobs) > 0 || run.JobsFrom != "" && !strings.Contains(run.JobsFrom, "://")
}

// collect checks the jobs and copies them into the local file. errs are those of the run file, which its own join.
func (p *Prepared) collect(path string, catalogue job.Catalogue, errs *job.Errors) error {
	source, err := p.source(path)
	if err != nil {
		errs.Merge(err)
		return errs.Err()
	}
	return p.copy(source, catalogue, errs)
}

// copy checks the jobs of a source, closes it, and copies them into the local file. errs are those found before.
func (p *Prepared) copy(source *jobSource, catalogue job.Catalogue, errs *job.Errors) error {
	defer source.close()
	hash := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(p.file, hash), 1<<20)
	checker := job.NewChecker(source.name, catalogue, errs)
	p.places.jobs = source.name
	for {
		spec, err := source.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if many, ok := errors.AsType[*job.Errors](err); ok {
			errs.Merge(many)
		} else if err != nil {
			return err
		}
		params, err := mergeParams(p.RunFile.Params, spec, errs)
		if err != nil {
			return err
		}
		checker.Add(spec, params)
		if errs.Len() > 0 {
			continue // nothing will be sent
		}
		p.places.add(&spec)
		if err := json.MarshalWrite(out, spec, json.Deterministic(true)); err != nil {
			return fmt.Errorf("prepare job %s: %w", spec.ID, err)
		}
		if err := out.WriteByte('\n'); err != nil {
			return fmt.Errorf("prepare jobs: %w", err)
		}
	}
	checker.Finish()
	checker.CheckOnly(p.RunFile)
	if err := errs.Err(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("prepare jobs: %w", err)
	}
	p.Jobs = checker.Len()
	p.RunFile.JobsSHA256 = hex.EncodeToString(hash.Sum(nil))
	return nil
}

// source yields the jobs, inline or from a local file.
func (p *Prepared) source(path string) (*jobSource, error) {
	if p.RunFile.JobsFrom == "" {
		return inlineJobs(path, p.RunFile), nil
	}
	name := localJobs(path, p.RunFile.JobsFrom)
	f, err := os.Open(name)
	if err != nil {
		return nil, p.RunFile.ErrorAt(path, "jobs_from", "jobs_from: %v", err)
	}
	return &jobSource{
		name: name, next: job.NewReader(name, f).Next, sha256: func() string { return p.RunFile.JobsSHA256 }, close: func() { f.Close() },
	}, nil
}

// localJobs is where a run file's jobs_from lies: relative to the run file.
func localJobs(runFile, jobsFrom string) string {
	if filepath.IsAbs(jobsFrom) {
		return jobsFrom
	}
	return filepath.Join(filepath.Dir(runFile), jobsFrom)
}

// ErrSubmitted says that a submission's id was used for something else.
var ErrSubmitted = errors.New("this submission id was used for another run")

// Submit puts a prepared run in S3 and tells the controller. The same id with the same content is the same run, however
// often it is submitted; an empty id makes a new one. It returns the id, which is the run's.
func Submit(ctx context.Context, store *objects.Store, submissions Sender, id string, p *Prepared) (string, error) {
	if id == "" {
		id = NewSubmissionID(p.RunFile.Name, time.Now())
	}
	if err := job.CheckName(id); err != nil {
		return "", fmt.Errorf("submission id: %w", err)
	}
	run := *p.RunFile
	run.Jobs = nil
	if p.file != nil {
		object := job.SubmissionJobsPath(id, run.JobsSHA256)
		run.JobsFrom = job.ObjectURL(store.Bucket(), object)
	}
	data, err := json.Marshal(run, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("submit run: %w", err)
	}
	submitted, err := wasSubmitted(ctx, store, id, data)
	if err == nil && !submitted {
		err = p.put(ctx, store, id, run.JobsSHA256, data)
	}
	if err != nil {
		return "", fmt.Errorf("submit run %s: %w", id, err)
	}
	body, err := job.Submission{V: job.MessageVersion, ID: id, By: p.By}.Encode()
	if err != nil {
		return "", fmt.Errorf("submit run %s: %w", id, err)
	}
	if err := submissions.Send(ctx, string(body)); err != nil {
		return "", fmt.Errorf("submit run %s: %w", id, err)
	}
	return id, nil
}

// wasSubmitted reports whether the run file is in S3 already. ErrSubmitted: another one is.
func wasSubmitted(ctx context.Context, store *objects.Store, id string, runFile []byte) (bool, error) {
	existing, _, err := store.Get(ctx, job.SubmissionPath(id))
	switch {
	case errors.Is(err, objects.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.Equal(existing, runFile):
		return false, fmt.Errorf("%w; leave the id out to get a new one", ErrSubmitted)
	}
	return true, nil
}

// put uploads the jobs, then the run file, which makes them a submission.
func (p *Prepared) put(ctx context.Context, store *objects.Store, id, sha string, runFile []byte) error {
	if p.file != nil {
		size, err := p.file.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if _, err := store.PutStream(ctx, job.SubmissionJobsPath(id, sha), io.NewSectionReader(p.file, 0, size), size); err != nil {
			return err
		}
	}
	_, err := store.Put(ctx, job.SubmissionPath(id), runFile, objects.Condition{IfAbsent: true})
	if errors.Is(err, objects.ErrPrecondition) {
		// Somebody was quicker: perhaps with the same run, perhaps this very request, whose first answer was lost.
		_, err = wasSubmitted(ctx, store, id, runFile)
	}
	return err
}

// NewSubmissionID makes an id that sorts by time among its namesakes: the run's name, the time, and something random.
func NewSubmissionID(name string, now time.Time) string {
	var random [3]byte
	rand.Read(random[:])
	suffix := now.UTC().Format("-20060102-150405-") + hex.EncodeToString(random[:])
	return name[:min(len(name), job.MaxNameLength-len(suffix))] + suffix
}
