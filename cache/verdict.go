package cache

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is how the cache does, in a word.
type Verdict string

// The verdicts.
const (
	VerdictWell         Verdict = "well"          // it answers, and there is nothing to do
	VerdictAttention    Verdict = "attention"     // it answers, and there is something to put right
	VerdictNotAnswering Verdict = "not_answering" // the view does not answer: jobs are looked up in the ledger
	VerdictUnknown      Verdict = "unknown"       // no controller reports
)

// Bounds of what is well.
const (
	lateLedger  = 5 * time.Minute  // behind S3; for as long the planner remembers what its own runs wrote
	recently    = 24 * time.Hour   // was a message parked
	justNow     = time.Hour        // was a build given up
	upToDateLag = 10 * time.Second // of a follower that finds nothing: it looks from time to time
)

// Judge is how the cache does at a time by its last status, and what wants attention, as noun phrases. parked are the newest
// messages that were.
func (s Status) Judge(now time.Time, parked []Parked) (Verdict, []string) {
	wanted := s.attention(now, parked)
	switch {
	case now.Sub(s.At) > StatusSilence:
		return VerdictUnknown, wanted
	case s.Obstacle() != "":
		return VerdictNotAnswering, wanted
	case len(wanted) > 0:
		return VerdictAttention, wanted
	}
	return VerdictWell, wanted
}

// attention is what somebody should look at, beside what keeps the view from answering.
func (s Status) attention(now time.Time, parked []Parked) []string {
	wanted := []string{}
	seen := map[Check]bool{}
	for _, f := range s.Findings {
		if !f.IsNote() && !seen[f.Check] {
			seen[f.Check] = true
			wanted = append(wanted, f.Check.subject())
		}
	}
	if lag := time.Duration(s.Updater.LagSeconds * float64(time.Second)); lag > lateLedger {
		wanted = append(wanted, fmt.Sprintf("a ledger %s behind S3", strings.TrimSuffix(lag.Round(time.Minute).String(), "0s")))
	}
	if slices.ContainsFunc(parked, func(p Parked) bool { return now.Sub(p.At) < recently }) {
		wanted = append(wanted, "messages of S3 that could not be handled")
	}
	if s.Obstacle() == "" {
		if s.Follower.Error != "" {
			wanted = append(wanted, "changes that do not reach the view: "+s.Follower.Error)
		}
		if s.Build.Error != "" && (s.Build.Building || now.Sub(s.Build.Ended) < justNow) {
			wanted = append(wanted, "a new epoch that could not be built: "+s.Build.Error)
		}
	}
	if s.Refresh.Urgent > 0 {
		wanted = append(wanted, "outputs in use that may expire")
	}
	return wanted
}

// subject is what a check is about.
func (c Check) subject() string {
	switch c {
	case CheckLifecycle:
		return "S3's lifecycle rules"
	case CheckNotifications:
		return "the bucket's notifications"
	case CheckExpiry:
		return "the ledger's time to live"
	case CheckStream:
		return "the ledger's stream"
	case CheckEviction:
		return "Redis's eviction policy"
	case CheckMemory:
		return "Redis's memory"
	case CheckVersion:
		return "Redis's version"
	}
	return string(c)
}

// Obstacle is what keeps the view from answering; "" when it answers. The ledger answers instead.
func (s Status) Obstacle() string {
	cause := s.Follower.Error
	if cause == "" && s.Build.Building {
		cause = s.Build.Error
	}
	switch {
	case s.State == StateLive && !s.Follower.Behind && !s.Follower.RedisSilent:
		return ""
	case cause != "":
		return cause
	case s.State == StateLive:
		return "the view is too far behind the ledger"
	case s.State == StateSuspect:
		return fmt.Sprintf("epoch %d is suspect, as Redis is not what was written", s.Epoch)
	case s.State == StateBuilding:
		return fmt.Sprintf("epoch %d is being built", s.Building)
	}
	return "there is no epoch yet"
}

// UpToDate reports whether the view has all that the ledger is known to have.
func (f FollowerStatus) UpToDate() bool {
	return !f.At.IsZero() && f.Error == "" && f.Waiting == 0 && f.LagSeconds < upToDateLag.Seconds()
}

// UpToDate reports whether the ledger has all that S3 is known to have told of.
func (u UpdaterStatus) UpToDate() bool { return u.LagSeconds < 1 }
