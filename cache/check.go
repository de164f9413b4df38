package cache

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Finding is what a look at the services that the cache rests on found: a sentence that says what is so, and one that
// says how to put it right.
type Finding struct {
	Check    Check    `dynamodbav:"check" json:"check"`
	Severity Severity `dynamodbav:"severity" json:"severity"`
	Text     string   `dynamodbav:"text" json:"text"`
	Fix      string   `dynamodbav:"fix" json:"fix,omitzero"`
}

// String is both sentences.
func (f Finding) String() string { return strings.TrimSpace(f.Text + " " + f.Fix) }

// Check is what was looked at.
type Check string

// The checks.
const (
	CheckLifecycle     Check = "lifecycle"     // when S3 removes outputs
	CheckNotifications Check = "notifications" // of the bucket, to the updater's queue
	CheckExpiry        Check = "expiry"        // the ledger's time to live
	CheckStream        Check = "stream"        // of the ledger
	CheckEviction      Check = "eviction"      // by Redis
	CheckMemory        Check = "memory"        // of Redis
	CheckVersion       Check = "version"       // of Redis
)

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	SeverityWrong   Severity = "wrong"   // answers can be wrong: a controller does not start
	SeverityWarning Severity = "warning" // it costs time or money
	SeverityRemark  Severity = "remark"  // worth knowing
	SeverityUnread  Severity = "unread"  // it could not be read, and so was not checked
)

// IsNote reports whether a finding asks nobody to do something soon.
func (f Finding) IsNote() bool { return f.Severity == SeverityRemark || f.Severity == SeverityUnread }

// Wrong are the findings with which a controller does not start.
func Wrong(findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return f.Severity != SeverityWrong })
}

// lifecycleMargin is how much longer than the retention S3 must keep outputs: lifecycle rules and DynamoDB's time to live
// both work late, and a run that found an output reads it hours later.
const lifecycleMargin = 4 * 24 * time.Hour

// LifecycleDays is after how many days from its creation S3 may remove an output, at the earliest.
func LifecycleDays(retention time.Duration) int {
	const day = 24 * time.Hour
	return int((retention + lifecycleMargin + day - 1) / day)
}

// outputsPrefix is where all outputs lie.
const outputsPrefix = "outputs/"

// judgeLifecycle looks for rules that remove outputs, or make them unreadable, while the cache still promises them.
// Rules for objects with tags are none of them: outputs have no tags. Nor are those for noncurrent versions and for
// uploads that were never completed.
func judgeLifecycle(bucket string, retention time.Duration, rules []s3types.LifecycleRule) []Finding {
	least := LifecycleDays(retention)
	var found []Finding
	ends := false
	for _, rule := range rules {
		if rule.Status != s3types.ExpirationStatusEnabled || !appliesToOutputs(rule) {
			continue
		}
		name := fmt.Sprintf("Lifecycle rule %q of bucket %s", cmp.Or(aws.ToString(rule.ID), rulePrefix(rule)), bucket)
		fix := func(days int32) string {
			text := fmt.Sprintf("Set its days to %d or more", least)
			if lower := int(days) - int(lifecycleMargin/(24*time.Hour)); lower > 0 {
				text += fmt.Sprintf(", or cache.retention to %dd or less", lower)
			}
			return text + ": outputs must stay 4 days longer than the cache promises them."
		}
		if e := rule.Expiration; e != nil && e.Days != nil {
			ends = true
			if int(*e.Days) < least {
				found = append(found, Finding{
					CheckLifecycle, SeverityWrong,
					fmt.Sprintf("%s removes outputs after %d days; the cache says for %s that they are there.", name, *e.Days, days(retention)), fix(*e.Days),
				})
			}
		} else if e != nil && e.Date != nil {
			ends = true
			found = append(found, Finding{
				CheckLifecycle, SeverityWrong,
				fmt.Sprintf("%s removes all outputs on %s, however old they are.", name, e.Date.Format(time.DateOnly)), fix(0),
			})
		}
		for _, t := range rule.Transitions {
			archived := t.StorageClass == s3types.TransitionStorageClassGlacier || t.StorageClass == s3types.TransitionStorageClassDeepArchive
			if archived && (t.Days == nil || int(*t.Days) < least) {
				found = append(found, Finding{
					CheckLifecycle, SeverityWrong,
					fmt.Sprintf("%s moves outputs to %s, where they cannot be read at once, before the cache forgets them.", name, t.StorageClass), fix(aws.ToInt32(t.Days)),
				})
			}
		}
	}
	if !ends {
		f := Finding{
			CheckLifecycle, SeverityRemark, fmt.Sprintf("No lifecycle rule of bucket %s removes outputs: their files stay, and are paid for, for ever.", bucket),
			fmt.Sprintf("Add a rule for the prefix %s with %d days.", outputsPrefix, least),
		}
		if len(rules) == 0 { // else the command would replace them
			f.Fix = fmt.Sprintf(`To remove them: `+"`"+`aws s3api put-bucket-lifecycle-configuration --bucket %s --lifecycle-configuration `+
				`'{"Rules":[{"ID":"outputs","Status":"Enabled","Filter":{"Prefix":"%s"},"Expiration":{"Days":%d}}]}'`+"`", bucket, outputsPrefix, least)
		}
		found = append(found, f)
	}
	return found
}

// appliesToOutputs reports whether a rule is about some outputs or all.
func appliesToOutputs(rule s3types.LifecycleRule) bool {
	if f := rule.Filter; f != nil && (f.Tag != nil || f.And != nil && len(f.And.Tags) > 0) {
		return false
	}
	prefix := rulePrefix(rule)
	return strings.HasPrefix(outputsPrefix, prefix) || strings.HasPrefix(prefix, outputsPrefix)
}

func rulePrefix(rule s3types.LifecycleRule) string {
	if f := rule.Filter; f != nil {
		if f.And != nil {
			return aws.ToString(f.And.Prefix)
		}
		return aws.ToString(f.Prefix)
	}
	return aws.ToString(rule.Prefix) //nolint:staticcheck // older configurations have it here
}

// days is a duration in days where it is whole ones.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// expiryAttribute is the ledger's attribute that says when an item may be deleted.
const expiryAttribute = "expires_at"

// judgeExpiry looks at the ledger's time to live.
func judgeExpiry(table string, ttl *dynamodbtypes.TimeToLiveDescription) []Finding {
	enable := fmt.Sprintf("`aws dynamodb update-time-to-live --table-name %s --time-to-live-specification Enabled=true,AttributeName=%s`", table, expiryAttribute)
	on := ttl != nil && (ttl.TimeToLiveStatus == dynamodbtypes.TimeToLiveStatusEnabled || ttl.TimeToLiveStatus == dynamodbtypes.TimeToLiveStatusEnabling)
	switch {
	case !on:
		return []Finding{{
			CheckExpiry, SeverityWarning,
			fmt.Sprintf("Table %s deletes nothing by itself: items of outputs that have expired stay in it, unused and paid for.", table), "To mend it: " + enable,
		}}
	case aws.ToString(ttl.AttributeName) != expiryAttribute:
		return []Finding{{
			CheckExpiry, SeverityWarning,
			fmt.Sprintf("Table %s deletes items by their attribute %s instead of %s.", table, aws.ToString(ttl.AttributeName), expiryAttribute),
			"Disable its time to live with the attribute that it has, and an hour later: " + enable,
		}}
	}
	return nil
}

// judgeStream looks at the stream by which the view learns of the ledger's changes.
func judgeStream(table string, s *dynamodbtypes.StreamSpecification) []Finding {
	enable := fmt.Sprintf("`aws dynamodb update-table --table-name %s --stream-specification StreamEnabled=true,StreamViewType=%s`",
		table, dynamodbtypes.StreamViewTypeNewAndOldImages)
	switch {
	case s == nil || !aws.ToBool(s.StreamEnabled):
		return []Finding{{CheckStream, SeverityWrong, fmt.Sprintf("Table %s has no stream: the view would not learn which outputs are gone.", table), "To mend it: " + enable}}
	case s.StreamViewType != dynamodbtypes.StreamViewTypeNewAndOldImages:
		return []Finding{{
			CheckStream, SeverityWarning,
			fmt.Sprintf("The stream of table %s has the view type %s: the view follows it, but tools that read what an item was cannot.", table, s.StreamViewType),
			"Disable the stream, and then: " + enable,
		}}
	}
	return nil
}

// Memory that the view takes in Redis: about nine bytes an output, and about 110 bytes for each bucket's key and set.
const (
	bytesPerOutput = 9
	bytesPerBucket = 110
)

// viewBytes is about how much memory the view of so many outputs takes.
func viewBytes(outputs int64) int64 {
	return outputs*bytesPerOutput + int64(bitsFor(outputs, defaultIntsetLimit).buckets())*bytesPerBucket
}

// judgeRedis looks at what Redis tells of itself, given how many outputs the view holds and how many it is to hold; a
// negative number is not known. What Redis does not tell was not checked, and silence is why.
func judgeRedis(r Server, silence string, held, expected int64) []Finding {
	var found []Finding
	untold := func(check Check, what, byHand string) {
		found = append(found, Finding{check, SeverityUnread, fmt.Sprintf("Redis's %s could not be read: %s.", what, silence), byHand})
	}
	switch major, minor, ok := versionOf(r.Version); {
	case r.Version == "":
		untold(CheckVersion, "version", "It must be 6.2 or later, or Valkey: `redis-cli INFO server`, or the page of a managed Redis, shows it.")
	case ok && (major < 6 || major == 6 && minor < 2):
		found = append(found, Finding{
			CheckVersion, SeverityWarning,
			fmt.Sprintf("Redis %s does not know SMISMEMBER: the view cannot answer, and each lookup reads the ledger.", r.Version), "Use Redis 6.2 or later, or Valkey.",
		})
	}
	// Policies that begin with volatile evict only keys with a time to live, of which the view has none.
	switch {
	case r.Eviction == "":
		untold(CheckEviction, "maxmemory-policy", "It should be noeviction: `redis-cli CONFIG GET maxmemory-policy`, or the parameter group of a managed Redis, shows it.")
	case strings.HasPrefix(r.Eviction, "allkeys"):
		found = append(found, Finding{
			CheckEviction, SeverityWarning,
			fmt.Sprintf("Redis's maxmemory-policy is %s: when memory is short it drops parts of the view, whose jobs then run again.", r.Eviction),
			"Set it to noeviction: `redis-cli CONFIG SET maxmemory-policy noeviction`, or in the parameter group of a managed Redis.",
		})
	}
	if expected < 0 {
		return append(found, Finding{
			CheckMemory, SeverityUnread, "Whether Redis has memory enough could not be checked: the ledger does not tell how many outputs there are.",
			"Set cache.expected_outputs.",
		})
	}
	room, whose := r.Max, "maxmemory"
	if room == 0 {
		room, whose = r.System, "the machine"
	}
	others := max(0, r.Used-viewBytes(max(0, held)))
	switch need := others + 2*viewBytes(expected); {
	case room > 0 && need > room:
		found = append(found, Finding{
			CheckMemory, SeverityWarning,
			fmt.Sprintf("Redis has %s of memory (%s) and needs %s: %s for %s, twice while the view is rebuilt, and %s for what else is in it.",
				mebibytes(room), whose, mebibytes(need), mebibytes(viewBytes(expected)), outputs(expected), mebibytes(others)),
			fmt.Sprintf("Give it %s, or set cache.expected_outputs if fewer outputs are to be expected.", mebibytes(need)),
		})
	case room == 0 || r.Used == 0:
		untold(CheckMemory, "memory", fmt.Sprintf("It needs %s for %s, beside what else is in it: `redis-cli INFO memory`, or the page of a managed Redis, shows how much it has.",
			mebibytes(2*viewBytes(expected)), outputs(expected)))
	}
	return found
}

func outputs(n int64) string {
	if n == 1 {
		return "1 output"
	}
	return fmt.Sprintf("%d outputs", n)
}

// versionOf reads the first two parts of a version; false when it is none.
func versionOf(text string) (major, minor int, ok bool) {
	n, err := fmt.Sscanf(text, "%d.%d", &major, &minor)
	return major, minor, err == nil && n == 2
}

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", math.Ceil(float64(n)/(1<<20))) }

// unread is the finding that something could not be read. byHand says how a person can look at it.
func unread(check Check, what, permission, byHand string, err error) Finding {
	f := Finding{check, SeverityUnread, fmt.Sprintf("%s could not be read: %s.", what, err), byHand}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		f.Text = fmt.Sprintf("%s could not be read: %s.", what, answer.ErrorCode())
		if strings.HasPrefix(answer.ErrorCode(), "AccessDenied") {
			f.Fix = fmt.Sprintf("The controller's role needs %s for that. %s", permission, byHand)
		}
	}
	return f
}
