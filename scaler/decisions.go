package scaler

import (
	"context"
	"fmt"
	"time"

	"spate/internal/table"
)

// Decided is a record of the log of decisions: one decision, and what it was made for.
type Decided struct {
	Pool string    `dynamodbav:"pool" json:"pool"`
	At   time.Time `dynamodbav:"at" json:"at"`
	Figures
	Launched  int    `dynamodbav:"launched" json:"launched"` // by ECS, since the record before
	Limit     Limit  `dynamodbav:"limit" json:"limit"`
	Reason    string `dynamodbav:"reason" json:"reason"`
	Decisions int    `dynamodbav:"decisions" json:"decisions"` // that it stands for: this one and those since the record before

	ExpiresAt int64 `dynamodbav:"expires_at,omitempty" json:"-"`
}

const (
	// decidedEvery is how often a pool's decisions are recorded at most, decidedAnyway how often while there is work or
	// a worker though nothing changes.
	decidedEvery  = time.Second
	decidedAnyway = time.Minute
	// keepDecisions is how long a record is kept.
	keepDecisions = 48 * time.Hour
)

// decisionLog picks of a pool's decisions those to be recorded. Between two records decisions add up; no launch is lost.
type decisionLog struct {
	last    Decided // recorded, or about to be
	since   Decided // the newest decision, with what was launched since last
	asks    bool    // some decision since last launches something
	counted int     // of the tasks that ECS has ever launched for the pool, those that are in records
}

// add takes a decision in, how many jobs were outstanding, and how many tasks ECS has launched for the pool so far. It reports whether to record it: something
// is launched, or has been, another limit binds or holds, or it is time to. What is not recorded is added to the next record.
func (l *decisionLog) add(now time.Time, outstanding, launched int, d Decision) (Decided, bool) {
	reason := d.Reason
	if d.Launches() == 0 && l.asks && d.Limit == l.since.Limit {
		reason = l.since.Reason // where something is launched, the sentence speaks of launches
	}
	l.asks = l.asks || d.Launches() > 0
	l.since = Decided{
		Pool: d.Pool, At: now.UTC(), Figures: figures(outstanding, d),
		Launched: launched - l.counted, Limit: d.Limit, Reason: reason,
		Decisions: l.since.Decisions + 1, ExpiresAt: now.Add(keepDecisions).Unix(),
	}
	age := now.Sub(l.last.At)
	changed := l.asks || l.since.Launched > 0 || d.Limit != l.last.Limit
	worth := !d.Demanded || outstanding > 0 || d.Wanted > 0 || d.Have > 0
	if age < decidedEvery || !changed && (age < decidedAnyway || !worth) {
		return Decided{}, false
	}
	l.last, l.since, l.asks, l.counted = l.since, Decided{}, false, launched
	return l.last, true
}

// decidedTime writes times that sort as text.
const decidedTime = "2006-01-02T15:04:05.000000000Z"

type decidedItem struct {
	table.Key
	Decided
}

func decidedKey(pool string, at time.Time) table.Key {
	return table.Key{PK: table.DecisionPrefix + pool, SK: at.UTC().Format(decidedTime)}
}

// ReadDecisions reads what is recorded of a pool's decisions since a time, the oldest first. Records are kept for 48
// hours.
func ReadDecisions(ctx context.Context, t *table.Table, pool string, since time.Time) ([]Decided, error) {
	var decisions []Decided
	key := decidedKey(pool, since)
	for item, err := range table.QueryFrom[decidedItem](ctx, t, key.PK, key.SK) {
		if err != nil {
			return nil, fmt.Errorf("read decisions of pool %s: %w", pool, err)
		}
		decisions = append(decisions, item.Decided)
	}
	return decisions, nil
}

// Stretch is decisions of a pool in a row that the same limit bound.
type Stretch struct {
	From      time.Time `json:"from"`
	To        time.Time `json:"to"` // when the next one begins, or of the last record when nothing followed for two minutes
	Decisions int       `json:"decisions"`
	Limit     Limit     `json:"limit"`
	Launched  int       `json:"launched"` // in all
	First     Figures   `json:"first"`    // of the first record
	Last      Figures   `json:"last"`     // of the last one
	Reason    string    `json:"reason"`   // of the last one
}

// Figures are what a decision was made for; nil: not known then.
type Figures struct {
	Outstanding *int `dynamodbav:"outstanding" json:"outstanding"` // jobs
	Wanted      *int `dynamodbav:"wanted" json:"wanted"`           // workers, as the following
	Have        *int `dynamodbav:"have" json:"have"`               // running, pending and being launched
}

func figures(outstanding int, d Decision) Figures {
	var f Figures
	if d.Demanded {
		f.Outstanding, f.Wanted = &outstanding, &d.Wanted
	}
	if d.Counted {
		f.Have = &d.Have
	}
	return f
}

// silence is how far apart records are that do not belong together: there was no work, or no controller.
const silence = 2 * decidedAnyway

// Stretches folds records, the oldest first, into those that belong together.
func Stretches(records []Decided) []Stretch {
	var all []Stretch
	for _, r := range records {
		last := len(all) - 1
		if last < 0 || all[last].Limit != r.Limit || r.At.Sub(all[last].To) > silence {
			if last >= 0 && r.At.Sub(all[last].To) <= silence {
				all[last].To = r.At
			}
			all = append(all, Stretch{From: r.At, Limit: r.Limit, First: r.Figures})
			last++
		}
		s := &all[last]
		s.To, s.Decisions, s.Launched, s.Last, s.Reason = r.At, s.Decisions+r.Decisions, s.Launched+r.Launched, r.Figures, r.Reason
	}
	return all
}
