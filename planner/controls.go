package planner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"spate/internal/table"
	"spate/job"
)

// RequestKind is what somebody wants done about a run.
type RequestKind string

// Request asks the controller to do something about a run. It is an item of the inbox in the runs table, which the
// controller reads once a second, and stays there until it has been answered, whether or not a controller is there now.
type Request struct {
	table.Key
	Run    string      `dynamodbav:"run"`
	Kind   RequestKind `dynamodbav:"kind"`
	By     string      `dynamodbav:"by"`     // who asks
	Reason string      `dynamodbav:"reason"` // why; may be empty
	At     time.Time   `dynamodbav:"at"`
	Jobs   []string    `dynamodbav:"jobs,omitempty"` // ids; what none means depends on the kind
	From   string      `dynamodbav:"from,omitempty"` // of RequestSubstitute: the key of the output that stands in
}

// MaxRequestJobs is the most jobs of one Request, so that its item stays far below DynamoDB's 400 KB.
const MaxRequestJobs = 1000

// maxRequestText is the most bytes of who asks, and of why.
const maxRequestText = 1024

// ID is the request's, once Ask has given it one.
func (r Request) ID() string { return r.SK }

// Audit is what became of a request: a record of the run, kept as long as what else is known of it.
type Audit struct {
	table.Key
	Request  Request   `dynamodbav:"request"`
	Refused  bool      `dynamodbav:"refused"`
	Answer   string    `dynamodbav:"answer"` // what was done, or why nothing was
	Answered time.Time `dynamodbav:"answered"`

	ExpiresAt int64 `dynamodbav:"expires_at,omitempty"`
}

const auditPrefix = "AUDIT#"

func auditKey(run, request string) table.Key { return runKey(run, auditPrefix+request) }

// idTime writes times that sort as text.
const idTime = "2006-01-02T15:04:05.000000000Z"

// newRequestID makes an id that sorts by time.
func newRequestID(now time.Time) string {
	var random [4]byte
	rand.Read(random[:])
	return now.UTC().Format(idTime) + "#" + hex.EncodeToString(random[:])
}

// Ask puts a request into the inbox and returns its id. Its time and id are made here.
func Ask(ctx context.Context, t *table.Table, r Request) (id string, err error) {
	if err := job.CheckName(r.Run); err != nil {
		return "", fmt.Errorf("run: %w", err)
	}
	if len(r.Jobs) > MaxRequestJobs {
		return "", fmt.Errorf("%d jobs, a request takes %d", len(r.Jobs), MaxRequestJobs)
	}
	if len(r.By) > maxRequestText || len(r.Reason) > maxRequestText {
		return "", fmt.Errorf("a reason, or who asks, has more than %d characters", maxRequestText)
	}
	for _, id := range r.Jobs {
		if err := job.CheckID(id); err != nil {
			return "", fmt.Errorf("job: %w", err)
		}
	}
	r.At = time.Now().UTC()
	r.Key = table.Key{PK: table.ControlInbox, SK: newRequestID(r.At)}
	if err := t.Put(ctx, r, table.Condition{}); err != nil {
		return "", fmt.Errorf("ask to %s run %s: %w", r.Kind, r.Run, err)
	}
	return r.ID(), nil
}

// ErrUnanswered says that no controller has answered a request in time. The request stays.
var ErrUnanswered = errors.New("no controller has answered")

// answerEvery is how often Answer looks.
const answerEvery = 250 * time.Millisecond

// Answer waits until a request has been answered, or patience is over: ErrUnanswered.
func Answer(ctx context.Context, t *table.Table, run, id string, patience time.Duration) (*Audit, error) {
	for begin := time.Now(); ; {
		var a Audit
		ok, err := t.Get(ctx, auditKey(run, id), &a)
		switch {
		case err != nil:
			return nil, fmt.Errorf("wait for an answer: %w", err)
		case ok:
			return &a, nil
		case time.Since(begin) >= patience:
			return nil, fmt.Errorf("%w for %s", ErrUnanswered, patience)
		}
		if err := sleep(ctx, answerEvery); err != nil {
			return nil, err
		}
	}
}

// ReadAudits reads what was asked about a run and answered, the oldest first.
func ReadAudits(ctx context.Context, t *table.Table, run string) ([]Audit, error) {
	var audits []Audit
	for a, err := range table.Query[Audit](ctx, t, table.RunPrefix+run, auditPrefix) {
		if err != nil {
			return nil, fmt.Errorf("read audit of run %s: %w", run, err)
		}
		audits = append(audits, a)
	}
	return audits, nil
}

// ReadAsked reads all that was asked about a run: what was answered, then what was not yet, which has no Answered.
func ReadAsked(ctx context.Context, t *table.Table, run string) ([]Audit, error) {
	// In this order, so that no request is missed that is answered meanwhile.
	waiting, err := store{table: t}.requests(ctx)
	if err != nil {
		return nil, err
	}
	asked, err := ReadAudits(ctx, t, run)
	if err != nil {
		return nil, err
	}
	for _, r := range waiting {
		if r.Run == run && !slices.ContainsFunc(asked, func(a Audit) bool { return a.Request.ID() == r.ID() }) {
			asked = append(asked, Audit{Request: r})
		}
	}
	return asked, nil
}

// requests reads the inbox, the oldest first.
func (s store) requests(ctx context.Context) ([]Request, error) {
	var all []Request
	for r, err := range table.Query[Request](ctx, s.table, table.ControlInbox, "") {
		if err != nil {
			return nil, fmt.Errorf("read requests: %w", err)
		}
		all = append(all, r)
	}
	return all, nil
}

// reply is what became of a request.
type reply struct {
	text    string // a sentence
	refused bool
}

func done(format string, args ...any) reply { return reply{text: fmt.Sprintf(format, args...)} }

func refuse(format string, args ...any) reply {
	return reply{text: fmt.Sprintf(format, args...), refused: true}
}

// answer takes a request out of the inbox and leaves an audit record of it. known: the run has a record.
func (s store) answer(ctx context.Context, r Request, what reply, known bool) error {
	now := time.Now().UTC()
	put, err := s.table.PutOp(Audit{
		Key: auditKey(r.Run, r.ID()), Request: r, Refused: what.refused, Answer: what.text, Answered: now, ExpiresAt: now.Add(keepRuns).Unix(),
	}, table.Absent())
	if err != nil {
		return fmt.Errorf("answer request %s: %w", r.ID(), err)
	}
	remove, err := s.table.DeleteOp(r.Key, table.Condition{Expression: "attribute_exists(pk)"})
	if err != nil {
		return fmt.Errorf("answer request %s: %w", r.ID(), err)
	}
	ops := append(s.guard(), put, remove)
	if known {
		check, err := s.checkOurs(r.Run)
		if err != nil {
			return fmt.Errorf("answer request %s: %w", r.ID(), err)
		}
		ops = append(ops, check)
	}
	err = s.table.Transact(ctx, ops...)
	if !errors.Is(err, table.ErrCondition) {
		if err != nil {
			return fmt.Errorf("answer request %s: %w", r.ID(), err)
		}
		return nil
	}
	// Either an earlier try had its effect, or the request is gone, or this controller no longer leads.
	left, err := s.table.Get(ctx, r.Key, &Request{})
	if err != nil {
		return fmt.Errorf("answer request %s: %w", r.ID(), err)
	}
	if left {
		return fmt.Errorf("answer request %s: %w", r.ID(), errFenced)
	}
	return nil
}
