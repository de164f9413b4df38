package planner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"spate/internal/objects"
	"spate/job"
)

// inputLookups is how many inputs are asked for in S3 at once.
const inputLookups = 32

// plainlySmall is the size of a job's line up to which its message cannot be too large for a queue. A message names
// each input twice, and numbers grow up to fivefold in canonical JSON (1e20).
const plainlySmall = job.MaxMessageBytes / 8

// longestReplaced is no shorter than any output that a job replaces: the ETag of a small object is 32 digits, and a worker
// names an attempt by its number and 16 digits.
func longestReplaced() job.Replaced {
	return job.Replaced{ETag: strings.Repeat("0", 32), Attempt: fmt.Sprintf("a%d-%016d", math.MaxInt32, 0)}
}

// rejection is why a run cannot be planned: the submitter's fault, not ours.
type rejection struct {
	reason string
	errs   *job.Errors
}

func (r *rejection) Error() string { return r.reason }

func reject(format string, args ...any) error {
	return &rejection{reason: fmt.Sprintf(format, args...)}
}

// plan turns a received run into one whose jobs are keyed: it reads and checks the submission, pins image and inputs,
// derives the keys and stores the normalised manifest. Doing it again is harmless as long as nothing was released. A
// *rejection is final; other errors pass.
func (p *Planner) plan(ctx context.Context, r *Run) (*activeRun, error) {
	file, err := p.readSubmission(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	var a *activeRun
	if file.Reproduce != nil {
		a, err = p.reproduce(ctx, r, file)
	} else {
		a, err = p.keying().run(ctx, r, file, nil)
	}
	if err != nil {
		return nil, err
	}
	if r.Warnings, err = doubtsAbout(ctx, p.Table, a); err != nil {
		a.spool.close()
		return nil, err
	}
	// Planning may have taken minutes: look once more whether the run is ours before its manifest is replaced.
	if err := p.store.save(ctx, r); err != nil {
		a.spool.close()
		return nil, err
	}
	if err := a.spool.upload(ctx, p.Objects, job.RunManifestPath(r.ID)); err != nil {
		a.spool.close()
		return nil, fmt.Errorf("store manifest of run %s: %w", r.ID, err)
	}
	return a, nil
}

func (p *Planner) keying() *keying {
	return &keying{Objects: p.Objects, Images: p.Images, Pools: poolsByName(p.Pools), Catalogue: p.Catalogue, Namespace: p.Namespace}
}

// namesOf are the pools that take runs.
func namesOf(pools map[string]Pool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		if !pools[name].External {
			names = append(names, name)
		}
	}
	return names
}

func poolsByName(pools []Pool) map[string]Pool {
	byName := make(map[string]Pool, len(pools))
	for _, pool := range pools {
		byName[pool.Name] = pool
	}
	return byName
}

// keying derives the keys of a run's jobs. It changes nothing: it reads S3 and task definitions, and writes local files.
type keying struct {
	Objects   *objects.Store
	Images    Images
	Pools     map[string]Pool
	Catalogue job.Catalogue
	Namespace string
	Progress  func(stage string, done, of int) // may be nil, and is called concurrently; of is 0 while it is not known
}

// run keys the jobs of a run file and fills in the run's record. A nil source reads the jobs from the run file, or where
// it says that they lie in S3.
func (k *keying) run(ctx context.Context, r *Run, file *job.RunFile, source *jobSource) (*activeRun, error) {
	r.Name, r.Pool, r.Owner, r.Labels = file.Name, file.Pool, file.Owner, file.Labels
	r.JobsFrom, r.JobsSHA256 = file.JobsFrom, file.JobsSHA256
	pool, ok := k.Pools[r.Pool]
	if !ok {
		return nil, reject("there is no pool %q; the configuration has %v", r.Pool, namesOf(k.Pools))
	}
	if pool.External {
		return nil, reject("%s", noRunsIn(r.Pool))
	}
	image, err := k.Images.Resolve(ctx, pool.TaskDefinition)
	if err != nil {
		return nil, fmt.Errorf("resolve image of pool %s: %w", r.Pool, err)
	}
	r.Image, r.Platform, r.TaskDefinition, r.Container = image.Digest, image.Platform, image.TaskDefinition, image.Container
	r.Worker = WorkerSize{VCPU: image.VCPU, MemoryGB: image.MemoryGB, Slots: pool.Slots, Providers: pool.Providers}
	r.Namespace = k.Namespace
	if r.Catalogue, err = encodeCatalogue(k.Catalogue); err != nil {
		return nil, err
	}
	if source == nil {
		if source, err = k.jobSource(ctx, file); err != nil {
			return nil, err
		}
	}
	raw, err := k.readJobs(file, source)
	if err != nil {
		return nil, err
	}
	r.JobsSHA256 = raw.sha256
	keyed, err := k.normalise(ctx, r, raw)
	if err != nil {
		return nil, err
	}
	if !file.SelectsAll() {
		whole := keyed
		keyed, err = k.restrict(ctx, r, file.Selection, whole)
		whole.close()
		if err != nil {
			return nil, err
		}
	}
	a, err := newActiveRun(r, keyed)
	if err != nil {
		keyed.close()
		return nil, err
	}
	return a, nil
}

// normalise pins inputs and derives keys. Nothing of the raw jobs is left when it returns: the memory is needed for the
// graph.
func (k *keying) normalise(ctx context.Context, r *Run, raw *rawJobs) (*spool, error) {
	defer raw.spool.close()
	inputs, err := k.pinInputs(ctx, raw)
	if err != nil {
		return nil, err
	}
	return k.key(r, raw, inputs)
}

// progress reports how far keying has come, now and then.
func (k *keying) progress(stage string, done, of int) {
	if k.Progress != nil && (done%progressEvery == 0 || done == of) {
		k.Progress(stage, done, of)
	}
}

// progressEvery is after how many jobs or inputs progress is reported.
const progressEvery = 1000

func (p *Planner) readSubmission(ctx context.Context, id string) (*job.RunFile, error) {
	data, _, err := p.Objects.Get(ctx, job.SubmissionPath(id))
	if errors.Is(err, objects.ErrNotFound) {
		return nil, reject("the submission %s names a run file that is not in S3: %s", id, job.ObjectURL(p.Objects.Bucket(), job.SubmissionPath(id)))
	}
	if err != nil {
		return nil, fmt.Errorf("read submission %s: %w", id, err)
	}
	file, err := job.ParseRunFile(job.ObjectURL(p.Objects.Bucket(), job.SubmissionPath(id)), data)
	if errs, ok := errors.AsType[*job.Errors](err); ok {
		return nil, &rejection{reason: "the run file has " + counted(errs.Len(), "error", "errors"), errs: errs}
	}
	return file, err
}

// rawJobs is a submission's jobs, checked, in a local file.
type rawJobs struct {
	file   string // its name, for errors
	sha256 string // of the file
	spool  *spool
	known  *job.Checker  // the jobs' ids and lines
	order  []int32       // parents before children
	urls   *job.Interned // of inputs to pin
	users  []int32       // by input: the first job that reads it
}

// readJobs streams the jobs to a local file, checking all of them.
func (k *keying) readJobs(file *job.RunFile, source *jobSource) (_ *rawJobs, err error) {
	defer source.close()
	raw := &rawJobs{file: source.name, urls: job.NewInterned()}
	if raw.spool, err = newSpool(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			raw.spool.close()
		}
	}()
	errs := &job.Errors{}
	raw.known = job.NewChecker(raw.file, k.Catalogue, errs)
	w := raw.spool.writer()
	for {
		spec, err := source.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if many, ok := errors.AsType[*job.Errors](err); ok {
			errs.Merge(many)
		} else if err != nil {
			return nil, fmt.Errorf("read jobs: %w", err)
		}
		if spec.Params, err = mergeParams(file.Params, spec, errs); err != nil {
			return nil, err
		}
		raw.known.Add(spec, spec.Params)
		if errs.Len() > 0 {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(spec.Inputs)) {
			in := spec.Inputs[name]
			if in.SHA256 == "" && int(raw.urls.Add(in.URL)) == len(raw.users) {
				raw.users = append(raw.users, int32(raw.spool.len()))
			}
		}
		line, err := json.Marshal(spec, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("read job %s: %w", spec.ID, err)
		}
		if err := w.append(append(line, '\n')); err != nil {
			return nil, err
		}
		k.progress("reading jobs", raw.spool.len(), 0)
	}
	raw.order = raw.known.Finish()
	raw.known.CheckOnly(file)
	raw.sha256 = source.sha256()
	if sum := raw.sha256; file.JobsSHA256 != "" && sum != file.JobsSHA256 {
		return nil, reject("%s has SHA-256 %s, the run file says %s: it was changed after it was submitted", file.JobsFrom, sum, file.JobsSHA256)
	}
	if errs.Len() > 0 {
		return nil, &rejection{reason: "the jobs have " + counted(errs.Len(), "error", "errors"), errs: errs}
	}
	return raw, w.flush()
}

// mergeParams lays a job's parameters over the run's. What cannot be merged has been found faulty already.
func mergeParams(run jsontext.Value, spec job.Spec, errs *job.Errors) (jsontext.Value, error) {
	merged, err := job.MergeParams(run, spec.Params)
	switch {
	case err == nil:
		return merged, nil
	case errs.Len() > 0:
		return spec.Params, nil
	}
	return nil, fmt.Errorf("read job %s: %w", spec.ID, err)
}

// jobSource yields a run's jobs.
type jobSource struct {
	name   string                   // of the file, for errors
	next   func() (job.Spec, error) // io.EOF after the last
	sha256 func() string            // of what was read
	close  func()
}

// jobSource reads the jobs of the run file, or of the object in S3 that it names.
func (k *keying) jobSource(ctx context.Context, file *job.RunFile) (*jobSource, error) {
	if file.JobsFrom == "" {
		return inlineJobs("run file", file), nil
	}
	bucket, object, err := job.ParseObjectURL(file.JobsFrom)
	if err != nil {
		return nil, reject("jobs_from: %v", err)
	}
	body, _, err := k.Objects.In(bucket).Open(ctx, object, objects.Condition{})
	if errors.Is(err, objects.ErrNotFound) {
		return nil, reject("jobs_from: there is no object %s", file.JobsFrom)
	}
	if errors.Is(err, objects.ErrDenied) {
		return nil, reject("jobs_from: %s cannot be read: it does not exist, or this controller may not see it", file.JobsFrom)
	}
	if err != nil {
		return nil, fmt.Errorf("open jobs: %w", err)
	}
	sum := sha256.New()
	return &jobSource{
		name: file.JobsFrom, next: job.NewReader(file.JobsFrom, io.TeeReader(body, sum)).Next,
		sha256: func() string { return hex.EncodeToString(sum.Sum(nil)) }, close: func() { body.Close() },
	}, nil
}

// inlineJobs yields the jobs that stand in the run file.
func inlineJobs(name string, file *job.RunFile) *jobSource {
	jobs := file.Jobs
	return &jobSource{
		name: name, sha256: func() string { return file.JobsSHA256 }, close: func() {},
		next: func() (job.Spec, error) {
			if len(jobs) == 0 {
				return job.Spec{}, io.EOF
			}
			spec := jobs[0]
			jobs = jobs[1:]
			return spec, nil
		},
	}
}

// pinInputs asks S3 what each input is now; the answers have the numbers of raw.urls.
func (k *keying) pinInputs(ctx context.Context, raw *rawJobs) ([]job.InputIdentity, error) {
	pinned := make([]job.InputIdentity, raw.urls.Len())
	var asked atomic.Int64
	var mu sync.Mutex
	missing := map[int32]error{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inputLookups)
	for n := range int32(len(pinned)) {
		group.Go(func() error {
			defer func() { k.progress("pinning inputs", int(asked.Add(1)), len(pinned)) }()
			url := raw.urls.At(n)
			bucket, object, err := job.ParseObjectURL(url)
			if err != nil {
				return err
			}
			info, err := k.Objects.In(bucket).Head(ctx, object)
			switch {
			case errors.Is(err, objects.ErrNotFound), errors.Is(err, objects.ErrDenied):
				mu.Lock()
				defer mu.Unlock()
				missing[n] = err
			case err != nil:
				return fmt.Errorf("pin input %s: %w", url, err)
			}
			pinned[n] = job.InputIdentity{ETag: info.ETag, Size: info.Size}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(missing) == 0 {
		return pinned, nil
	}
	errs := &job.Errors{}
	for _, n := range slices.Sorted(maps.Keys(missing)) {
		why := "there is no input " + raw.urls.At(n)
		if errors.Is(missing[n], objects.ErrDenied) {
			why = "input " + raw.urls.At(n) + " cannot be read: it does not exist, or this controller may not see it"
		}
		errs.Add(&job.Error{
			File: raw.file, Line: raw.known.Line(raw.users[n]), Message: fmt.Sprintf("job %q: %s", raw.known.ID(raw.users[n]), why),
		})
	}
	return nil, &rejection{reason: counted(errs.Len(), "input is missing", "inputs are missing"), errs: errs}
}

// key derives every job's key, parents first, and writes the normalised manifest to a local file.
func (k *keying) key(r *Run, raw *rawJobs, inputs []job.InputIdentity) (_ *spool, err error) {
	out, err := newSpool()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	common := commonDocuments(r, k.Catalogue)
	fixed := map[string]int{} // bytes of what the documents of a task type share
	for name, doc := range common {
		shared, err := job.Document{Spec: doc}.Canonical()
		if err != nil {
			return nil, err
		}
		fixed[name] = len(shared)
	}
	in := raw.spool.reader()
	keys := make([]job.Key, len(raw.order))
	errs := &job.Errors{}
	w := out.writer()
	var buf []byte
	for _, at := range raw.order {
		line, err := in.line(int(at))
		if err != nil {
			return nil, err
		}
		var spec job.Spec
		if err := json.Unmarshal(line, &spec); err != nil {
			return nil, fmt.Errorf("read spooled job: %w", err)
		}
		planned := raw.pin(spec, inputs, keys)
		doc := planned.Document(common[spec.Task])
		if planned.Key, err = doc.Key(); err != nil {
			return nil, fmt.Errorf("key job %s: %w", spec.ID, err)
		}
		keys[at] = planned.Key
		if buf, err = planned.AppendLine(buf[:0]); err != nil {
			return nil, err
		}
		// Most messages are small, and it is enough to see that they are; of others it takes the message to know.
		if len(buf)+fixed[spec.Task] > plainlySmall {
			planned.Replaces = longestReplaced()
			if _, err := message(r, planned, math.MaxInt32, common[spec.Task], k.Catalogue[spec.Task].Timeout); err != nil {
				errs.Add(&job.Error{File: raw.file, Line: raw.known.Line(at), Message: fmt.Sprintf("job %q: %v", spec.ID, err)})
			}
		}
		if err := w.append(buf); err != nil {
			return nil, err
		}
		k.progress("deriving keys", out.len(), len(raw.order))
	}
	if errs.Len() > 0 {
		return nil, &rejection{reason: fmt.Sprintf("%d jobs are too large", errs.Len()), errs: errs}
	}
	return out, w.flush()
}

// commonDocuments is, by task type, what the documents of all its jobs share.
func commonDocuments(r *Run, catalogue job.Catalogue) map[string]job.SpecDocument {
	common := make(map[string]job.SpecDocument, len(catalogue))
	for name, task := range catalogue {
		doc := job.SpecDocument{
			V: job.DocumentVersion, Namespace: r.Namespace, Image: r.Image, Platform: r.Platform, Task: task.Document(), Env: task.Env,
		}
		if !task.Deterministic {
			doc.Run = r.ID
		}
		if r.Reproduction != nil {
			doc.Again = r.ID
		}
		common[name] = doc
	}
	return common
}

// pin fills in what a job reads: identities of inputs by number in raw.urls, keys of parents by the job's number.
func (raw *rawJobs) pin(spec job.Spec, inputs []job.InputIdentity, keys []job.Key) job.Planned {
	planned := job.Planned{ID: spec.ID, Task: spec.Task, Params: spec.Params, Labels: spec.Labels}
	if len(spec.Inputs) > 0 {
		planned.Inputs = make(map[string]job.PlannedInput, len(spec.Inputs))
	}
	for name, in := range spec.Inputs {
		identity := job.InputIdentity{SHA256: in.SHA256}
		if n, ok := raw.urls.Find(in.URL); ok && in.SHA256 == "" {
			identity = inputs[n]
		}
		planned.Inputs[name] = job.PlannedInput{URL: in.URL, InputIdentity: identity}
	}
	if len(spec.Needs) > 0 {
		planned.Needs = make(map[string]job.PlannedNeed, len(spec.Needs))
	}
	for name, need := range spec.Needs {
		parent, _ := raw.known.Find(need.Job) // it is there: Finish saw to it
		planned.Needs[name] = job.PlannedNeed{Job: need.Job, Key: keys[parent], Files: need.Files}
	}
	return planned
}

// lookupChunk is how many keys one look-up asks for.
const lookupChunk = 10_000

// resolve asks which outputs exist and starts the graph. released tells, by node, what this run sent out before; nil is
// nothing. What the cache does not know of that is asked of S3 itself, since its events may have been consumed; of what it
// does know, a sample.
func (p *Planner) resolve(ctx context.Context, a *activeRun, released []bool) error {
	var hits, doubtful []int32
	for start := 0; start < a.graph.Nodes(); start += lookupChunk {
		keys := make([]job.Key, 0, lookupChunk)
		for n := start; n < min(start+lookupChunk, a.graph.Nodes()); n++ {
			keys = append(keys, a.graph.Key(int32(n)))
		}
		for i, presence := range p.Outputs.Lookup(ctx, keys) {
			n := int32(start + i)
			switch {
			case a.isReplacing(n):
				presence = job.Miss // what is known by key may be the output that this run replaces
			case presence != job.Hit && p.recent.has(keys[i], time.Now()):
				presence = job.Hit
			}
			if presence == job.Hit {
				hits = append(hits, n)
			} else if released != nil && released[n] || a.standsIn[n] {
				doubtful = append(doubtful, n)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	hits, err := p.verify(ctx, a, hits)
	if err != nil {
		return err
	}
	for _, n := range hits {
		a.graph.Resolve(n, job.Hit, released != nil && released[n])
	}
	exist, err := p.exist(ctx, a, doubtful)
	if err != nil {
		return err
	}
	for i, n := range doubtful {
		if exist[i] {
			a.confirmed.set(n, true)
			a.graph.Resolve(n, job.Hit, !a.standsIn[n])
		}
	}
	a.graph.Start()
	for n := range a.standsIn {
		if !a.graph.State(n).HasOutput() {
			a.bereave(n)
		}
	}
	a.Planned = time.Now()
	p.use(a, hits)
	return nil
}

// headLookups is how many manifests are asked for in S3 at once.
const headLookups = 64

// exist asks S3 which nodes have a live output.
func (p *Planner) exist(ctx context.Context, a *activeRun, nodes []int32) ([]bool, error) {
	found := make([]bool, len(nodes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(headLookups)
	for i, n := range nodes {
		group.Go(func() error {
			var err error
			found[i], err = p.exists(ctx, a.graph.Key(n), a.replaces[n])
			return err
		})
	}
	return found, group.Wait()
}
