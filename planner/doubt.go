package planner

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"spate/internal/table"
	"spate/job"
)

// Doubt is what is known of a task type that is declared deterministic and is not: somebody computed its jobs again, and
// some gave other bytes. It is about one image and definition of the task type; a program that was mended comes with
// another image, or another command, and is in no doubt.
type Doubt struct {
	table.Key
	Namespace  string    `dynamodbav:"namespace"`
	Task       string    `dynamodbav:"task"`
	Image      string    `dynamodbav:"image"`      // digest
	Definition string    `dynamodbav:"definition"` // SHA-256 of what the documents of all its jobs share
	Run        string    `dynamodbav:"run"`        // the reproduction that found it
	Original   string    `dynamodbav:"original"`   // the run whose jobs it computed again
	Job        string    `dynamodbav:"job"`        // the first that differs
	JobKey     string    `dynamodbav:"job_key"`    // the original's
	Files      []string  `dynamodbav:"files"`      // of that job, those that differ; at most doubtFiles
	Compared   int       `dynamodbav:"compared"`   // jobs
	Different  int       `dynamodbav:"different"`  // jobs
	At         time.Time `dynamodbav:"at"`

	// ExpiresAt is when the table's time to live may remove it, in epoch seconds.
	ExpiresAt int64 `dynamodbav:"expires_at"`
}

// doubtFiles is how many files a Doubt names.
const doubtFiles = 10

// String is the doubt as a sentence.
func (d Doubt) String() string {
	return fmt.Sprintf("task %s is declared deterministic, but run %s gave other bytes than %s in %d of %s, such as %s (%s)",
		d.Task, d.Run, d.Original, d.Different, jobs(d.Compared), d.Job, fileList(d.Files))
}

// fileList names a few files.
func fileList(files []string) string {
	const most = 3
	text := ""
	for i, f := range files {
		switch {
		case i == most:
			return text + ", …"
		case i > 0:
			text += ", "
		}
		text += f
	}
	return text
}

// NotDeterministic reads which task types are known not to be deterministic, by namespace, task type and image.
func NotDeterministic(ctx context.Context, t *table.Table) ([]Doubt, error) {
	var doubts []Doubt
	for d, err := range table.Query[Doubt](ctx, t, table.TaskRecords, "") {
		if err != nil {
			return nil, fmt.Errorf("read task types that are not deterministic: %w", err)
		}
		doubts = append(doubts, d)
	}
	return doubts, nil
}

// doubtsAbout are those about task types of a run, as sentences.
func doubtsAbout(ctx context.Context, t *table.Table, a *activeRun) ([]string, error) {
	doubts, err := NotDeterministic(ctx, t)
	if err != nil || len(doubts) == 0 {
		return nil, err
	}
	common := commonDocuments(a.Run, a.catalogue)
	var about []string
	for _, d := range doubts {
		doc, ok := common[d.Task]
		if !ok || a.tasks[d.Task] == 0 || !a.catalogue[d.Task].Deterministic {
			continue
		}
		definition, err := definitionOf(doc)
		if err != nil {
			return nil, err
		}
		if d.Definition == definition {
			about = append(about, d.String())
		}
	}
	return about, nil
}

// definitionOf is the hash of what all documents of a task type share: namespace, image, platform, definition, environment.
func definitionOf(common job.SpecDocument) (string, error) {
	common.Run, common.Again = "", ""
	sum, err := common.Hash()
	if err != nil {
		return "", fmt.Errorf("describe task %s: %w", common.Task.Name, err)
	}
	return hex.EncodeToString(sum[:]), nil
}

// saveDoubts writes what a reproduction found, as long as the run is ours. Written again it is the same.
func (p *Planner) saveDoubts(ctx context.Context, a *activeRun, found map[string]*Doubt) error {
	common := commonDocuments(a.Run, a.catalogue)
	for _, task := range slices.Sorted(maps.Keys(found)) {
		definition, err := definitionOf(common[task])
		if err != nil {
			return err
		}
		d := found[task]
		d.Key = table.Key{PK: table.TaskRecords, SK: a.Namespace + "#" + task + "#" + a.Image}
		d.Namespace, d.Task, d.Image, d.Definition = a.Namespace, task, a.Image, definition
		d.Run, d.Original = a.ID, a.Reproduction.Run
		d.At = time.Now()
		d.ExpiresAt = d.At.Add(keepRuns).Unix()
		if err := p.store.append(ctx, a.ID, d); err != nil {
			return fmt.Errorf("save that task %s is not deterministic: %w", task, err)
		}
	}
	return nil
}
