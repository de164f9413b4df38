package planner

import (
	"cmp"
	"strconv"
	"strings"

	"spate/job"
)

// places are where the jobs of a submission stood in the submitter's file, in the order in which they were submitted.
type places struct {
	runFile string // "" when the run was not read from a file
	jobs    string // the file that the jobs were read from; "" when that is not known
	at      []place
}

type place struct{ line, column int32 }

func (p *places) add(spec *job.Spec) {
	line, column := spec.Place()
	p.at = append(p.at, place{int32(line), int32(column)})
}

// Localise is the errors of a run that was rejected, which name the copies in S3 that the controller read, in terms of the
// submitter's own files: of a job's error the file and the line and column of the job's id. What else they say stays, and so
// do errors about other files. bucket is that of the submission.
func (p *Prepared) Localise(bucket string, run *Run) []string {
	jobs := job.ObjectURL(bucket, job.SubmissionJobsPath(run.ID, p.RunFile.JobsSHA256)) + ":"
	file := job.ObjectURL(bucket, job.SubmissionPath(run.ID)) + ":"
	local := make([]string, len(run.Errors))
	for i, e := range run.Errors {
		local[i] = e
		if rest, ok := strings.CutPrefix(e, jobs); ok && p.places.jobs != "" {
			local[i] = p.places.job(rest, e)
		} else if rest, ok := strings.CutPrefix(e, file); ok && p.places.runFile != "" {
			_, _, message := cutPlace(rest)
			local[i] = p.places.runFile + ": " + message
		}
	}
	return local
}

// job is an error about a job, from what stands behind the file's name in it; else is the error where no job is meant.
func (p *places) job(rest, otherwise string) string {
	line, _, message := cutPlace(rest)
	e := job.Error{File: p.jobs, Message: message}
	switch {
	case line > len(p.at):
		return otherwise
	case line > 0:
		e.Line, e.Column = int(p.at[line-1].line), int(p.at[line-1].column)
	}
	return e.Error()
}

// localise names, in errors about the jobs as submitted, the file that they were read from, and where the job stood in it.
func (p *places) localise(errs *job.Errors) {
	for _, e := range errs.List {
		if e.File == asSubmitted && p.jobs != "" && e.Line > 0 && e.Line <= len(p.at) {
			e.File, e.Line, e.Column = p.jobs, int(p.at[e.Line-1].line), int(p.at[e.Line-1].column)
		}
	}
}

// cutPlace takes line and column off the beginning of "line:column: message"; each is 0 when it is not there.
func cutPlace(text string) (line, column int, message string) {
	for _, n := range []*int{&line, &column} {
		digits, rest, ok := strings.Cut(text, ":")
		number, err := strconv.Atoi(digits)
		if !ok || err != nil || number < 0 {
			break
		}
		*n, text = number, rest
	}
	return line, column, strings.TrimPrefix(text, " ")
}

// or is p, or q where p knows nothing: changed jobs are read from a copy, and stood where the original did.
func (p places) or(q places) places {
	if p.jobs == "" {
		p.jobs, p.at = q.jobs, q.at
	}
	p.runFile = cmp.Or(p.runFile, q.runFile)
	return p
}
