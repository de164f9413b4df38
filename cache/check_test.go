package cache

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// expiring is a lifecycle rule that removes what begins with a prefix after so many days.
func expiring(id, prefix string, days int32) s3types.LifecycleRule {
	return s3types.LifecycleRule{
		ID: &id, Status: s3types.ExpirationStatusEnabled, Filter: &s3types.LifecycleRuleFilter{Prefix: &prefix},
		Expiration: &s3types.LifecycleExpiration{Days: &days},
	}
}

func TestALifecycleThatRemovesWhatTheCachePromisesIsWrong(t *testing.T) {
	disabled, tagged, both, older := expiring("r", "outputs/", 7), expiring("r", "outputs/", 7), expiring("r", "outputs/", 7), expiring("r", "", 7)
	disabled.Status = s3types.ExpirationStatusDisabled
	tagged.Filter = &s3types.LifecycleRuleFilter{Tag: &s3types.Tag{Key: aws.String("a"), Value: aws.String("b")}}
	both.Filter = &s3types.LifecycleRuleFilter{And: &s3types.LifecycleRuleAndOperator{Prefix: aws.String("outputs/"), ObjectSizeGreaterThan: aws.Int64(1)}}
	older.Filter, older.Prefix = nil, aws.String("out") //nolint:staticcheck // older configurations have it here
	dated, archived, versions, uploads := expiring("r", "", 7), expiring("r", "", 40), expiring("r", "", 7), expiring("r", "", 7)
	dated.Expiration = &s3types.LifecycleExpiration{Date: aws.Time(time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC))}
	archived.Transitions = []s3types.Transition{{Days: aws.Int32(20), StorageClass: s3types.TransitionStorageClassGlacier}}
	versions.Expiration, versions.NoncurrentVersionExpiration = nil, &s3types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)}
	uploads.Expiration, uploads.AbortIncompleteMultipartUpload = nil, &s3types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(1)}
	for _, row := range []struct {
		name  string
		rules []s3types.LifecycleRule
		want  Severity // none: no finding
		says  string
	}{
		{"as late as need be", []s3types.LifecycleRule{expiring("r", "outputs/", 34)}, "", ""},
		{"a day too early", []s3types.LifecycleRule{expiring("r", "outputs/", 33)}, SeverityWrong, `rule "r" of bucket data removes outputs after 33 days`},
		{"what to set", []s3types.LifecycleRule{expiring("r", "outputs/", 33)}, SeverityWrong, "Set its days to 34 or more, or cache.retention to 29d or less"},
		{"of everything", []s3types.LifecycleRule{expiring("r", "", 7)}, SeverityWrong, "after 7 days"},
		{"of some outputs", []s3types.LifecycleRule{expiring("r", "outputs/a", 7), expiring("s", "outputs/", 40)}, SeverityWrong, "after 7 days"},
		{"of something else", []s3types.LifecycleRule{expiring("r", "logs/", 7), expiring("s", "outputs/", 40)}, "", ""},
		{"named in the older way", []s3types.LifecycleRule{older}, SeverityWrong, "after 7 days"},
		{"with a size", []s3types.LifecycleRule{both}, SeverityWrong, "after 7 days"},
		{"on a day", []s3types.LifecycleRule{dated}, SeverityWrong, "on 2030-01-02"},
		{"to an archive", []s3types.LifecycleRule{archived}, SeverityWrong, "to GLACIER"},
		{"disabled", []s3types.LifecycleRule{disabled}, SeverityRemark, "Add a rule"},
		{"of tagged objects", []s3types.LifecycleRule{tagged}, SeverityRemark, "No lifecycle rule"},
		{"of old versions", []s3types.LifecycleRule{versions}, SeverityRemark, "for ever"},
		{"of uploads", []s3types.LifecycleRule{uploads}, SeverityRemark, "for ever"},
		{"none", nil, SeverityRemark, `put-bucket-lifecycle-configuration --bucket data`},
	} {
		t.Run(row.name, func(t *testing.T) {
			found := judgeLifecycle("data", 30*24*time.Hour, row.rules)
			if row.want == "" {
				if len(found) > 0 {
					t.Errorf("found %v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Severity != row.want || !strings.Contains(found[0].String(), row.says) {
				t.Errorf("found %v, want %s: …%s…", found, row.want, row.says)
			}
		})
	}
}

func TestTheLifecycleComesFourDaysLaterInWholeDays(t *testing.T) {
	for retention, want := range map[time.Duration]int{time.Second: 5, 24 * time.Hour: 5, 25 * time.Hour: 6, 30 * 24 * time.Hour: 34} {
		if got := LifecycleDays(retention); got != want {
			t.Errorf("%s: %d days, want %d", retention, got, want)
		}
	}
}

func TestTheLedgerIsToExpireItemsAndToHaveAStream(t *testing.T) {
	ttl := func(status dynamodbtypes.TimeToLiveStatus, attribute string) *dynamodbtypes.TimeToLiveDescription {
		return &dynamodbtypes.TimeToLiveDescription{TimeToLiveStatus: status, AttributeName: &attribute}
	}
	stream := func(on bool, view dynamodbtypes.StreamViewType) *dynamodbtypes.StreamSpecification {
		return &dynamodbtypes.StreamSpecification{StreamEnabled: &on, StreamViewType: view}
	}
	for name, row := range map[string]struct {
		found []Finding
		want  Severity
	}{
		"expires":           {judgeExpiry("t", ttl(dynamodbtypes.TimeToLiveStatusEnabled, "expires_at")), ""},
		"soon expires":      {judgeExpiry("t", ttl(dynamodbtypes.TimeToLiveStatusEnabling, "expires_at")), ""},
		"does not expire":   {judgeExpiry("t", ttl(dynamodbtypes.TimeToLiveStatusDisabled, "expires_at")), SeverityWarning},
		"tells nothing":     {judgeExpiry("t", nil), SeverityWarning},
		"another attribute": {judgeExpiry("t", ttl(dynamodbtypes.TimeToLiveStatusEnabled, "created_at")), SeverityWarning},
		"streams":           {judgeStream("t", stream(true, dynamodbtypes.StreamViewTypeNewAndOldImages)), ""},
		"streams keys only": {judgeStream("t", stream(true, dynamodbtypes.StreamViewTypeKeysOnly)), SeverityWarning},
		"stream off":        {judgeStream("t", stream(false, "")), SeverityWrong},
		"no stream":         {judgeStream("t", nil), SeverityWrong},
	} {
		t.Run(name, func(t *testing.T) {
			switch {
			case row.want == "" && len(row.found) > 0:
				t.Errorf("found %v", row.found)
			case row.want != "" && (len(row.found) != 1 || row.found[0].Severity != row.want || !strings.Contains(row.found[0].Fix, "`aws dynamodb update-")):
				t.Errorf("found %v, want %s and how to mend it", row.found, row.want)
			}
		})
	}
}

func TestRedisIsToKeepWhatItIsGivenAndToHaveRoomForTwoViews(t *testing.T) {
	const mib = 1 << 20
	well := Server{Version: "7.2.4", Eviction: "noeviction", Used: mib, Max: 512 * mib}
	but := func(change func(*Server)) Server {
		s := well
		change(&s)
		return s
	}
	for _, row := range []struct {
		name           string
		server         Server
		held, expected int64
		want           []Check
		severity       Severity
		says           string
	}{
		{"all is well", well, 0, 10_000_000, nil, "", ""},
		{"nothing is told", Server{}, 0, 10_000_000, []Check{CheckVersion, CheckEviction, CheckMemory}, SeverityUnread, "could not be read: it does not tell."},
		{"no version is told", but(func(s *Server) { s.Version = "" }), 0, 0, []Check{CheckVersion}, SeverityUnread, "It must be 6.2 or later"},
		{"no policy is told", but(func(s *Server) { s.Eviction = "" }), 0, 0, []Check{CheckEviction}, SeverityUnread, "It should be noeviction: `redis-cli CONFIG GET maxmemory-policy`"},
		{"no bound of memory is told", but(func(s *Server) { s.Max = 0 }), 0, 10_000_000, []Check{CheckMemory}, SeverityUnread, "It needs 179 MiB for 10000000 outputs, beside what else is in it"},
		{"no use of memory is told", but(func(s *Server) { s.Used = 0 }), 0, 0, []Check{CheckMemory}, SeverityUnread, "`redis-cli INFO memory`"},
		{"the ledger tells no number", but(func(s *Server) { s.Max = 2 * mib }), unknownItems, unknownItems, []Check{CheckMemory}, SeverityUnread, "Set cache.expected_outputs"},
		{"evicts", but(func(s *Server) { s.Eviction = "allkeys-lru" }), 0, 0, []Check{CheckEviction}, SeverityWarning, "maxmemory-policy is allkeys-lru"},
		{"evicts what has a time to live", but(func(s *Server) { s.Eviction = "volatile-ttl" }), 0, 0, nil, "", ""},
		{"too old", but(func(s *Server) { s.Version = "6.0.16" }), 0, 0, []Check{CheckVersion}, SeverityWarning, "SMISMEMBER"},
		{"old enough", but(func(s *Server) { s.Version = "6.2.0" }), 0, 0, nil, "", ""},
		{"another make", but(func(s *Server) { s.Version = "valkey 7.2.5" }), 0, 0, nil, "", ""},
		{"no room for two", but(func(s *Server) { s.Max = 170 * mib }), 0, 10_000_000, []Check{CheckMemory}, SeverityWarning, "needs 179 MiB: 90 MiB for 10000000 outputs"},
		{"the view that is there counts once", but(func(s *Server) { s.Used, s.Max = 94*mib, 190*mib }), 10_000_000, 10_000_000, nil, "", ""},
		{"beside others", but(func(s *Server) { s.Used, s.Max = 94*mib, 190*mib }), 0, 10_000_000, []Check{CheckMemory}, SeverityWarning, "for what else is in it"},
		{"on a small machine", but(func(s *Server) { s.Max, s.System = 0, 100*mib }), 0, 10_000_000, []Check{CheckMemory}, SeverityWarning, "100 MiB of memory (the machine)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []Check
			text := ""
			for _, f := range judgeRedis(row.server, "it does not tell", row.held, row.expected) {
				got, text = append(got, f.Check), text+f.String()
				if f.Severity != row.severity || f.Fix == "" {
					t.Errorf("found %+v, want it to be %s, and what to do", f, row.severity)
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" || !strings.Contains(text, row.says) {
				t.Errorf("(-want +got):\n%s%s", diff, text)
			}
		})
	}
}

// closed is services that answer all questions with an error.
type closed struct{ err error }

func (c closed) GetBucketLifecycleConfiguration(context.Context, *s3.GetBucketLifecycleConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketLifecycleConfigurationOutput, error) {
	return nil, c.err
}

func (c closed) GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error) {
	return nil, c.err
}

func (c closed) DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	return nil, c.err
}

func (c closed) DescribeTimeToLive(context.Context, *dynamodb.DescribeTimeToLiveInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error) {
	return nil, c.err
}

// addressed is a queue whose address is known.
type addressed string

func (a addressed) ARN(context.Context) (string, error) { return string(a), nil }

func TestWhatMayNotBeReadNamesThePermissionAndHowToLookByHandAndRefusesNothing(t *testing.T) {
	byHand := []string{
		"They should remove outputs after 34 days or more: `aws s3api get-bucket-lifecycle-configuration --bucket data`.",
		"It should tell the queue of s3:ObjectCreated:* and s3:ObjectRemoved:* below outputs/: `aws s3api get-bucket-notification-configuration --bucket data`.",
		"It should be enabled for the attribute expires_at: `aws dynamodb describe-time-to-live --table-name outputs`.",
		"It should be enabled with the view type NEW_AND_OLD_IMAGES: `aws dynamodb describe-table --table-name outputs`.",
	}
	for name, row := range map[string]struct {
		err         error
		permissions []string
	}{
		"denied": {&smithy.GenericAPIError{Code: "AccessDeniedException"}, []string{
			"The controller's role needs s3:GetLifecycleConfiguration for that. ",
			"The controller's role needs s3:GetBucketNotification for that. ",
			"The controller's role needs dynamodb:DescribeTimeToLive for that. ",
			"The controller's role needs dynamodb:DescribeTable for that. ",
		}},
		"away": {errors.New("no answer"), []string{"", "", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			at := closed{row.err}
			found := Inspector{S3: at, DynamoDB: at, Queue: addressed("arn:q"), Bucket: "data", OutputsTable: "outputs", Retention: 30 * 24 * time.Hour}.Findings(t.Context())
			var want, fixes []string
			for i, text := range byHand {
				want = append(want, row.permissions[i]+text)
			}
			for _, f := range found {
				if f.Severity != SeverityUnread || !strings.Contains(f.Text, "could not be read: ") {
					t.Errorf("found %+v", f)
				}
				fixes = append(fixes, f.Fix)
			}
			if diff := cmp.Diff(want, fixes); diff != "" {
				t.Error(diff)
			}
			if err := Refusal(found); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestARealRedisIsLookedAt(t *testing.T) {
	client := openRedis(t)
	var got []string
	text := ""
	look := func(client redis.UniversalClient) {
		got, text = nil, ""
		for _, f := range (Inspector{View: NewView(client, "spate")}).redis(t.Context(), 1<<40) {
			got, text = append(got, string(f.Check)+" "+string(f.Severity)), f.Text
		}
	}
	if err := client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		if look(client); len(got) != 3 {
			t.Errorf("found %v of a Redis that tells nothing", got)
		}
		return
	}
	if look(client); !slices.Equal(got, []string{"eviction warning", "memory warning"}) {
		t.Errorf("found %v, want the policy, and too little memory for a million million outputs", got)
	}
	if err := client.Do(t.Context(), "ACL", "SETUSER", "guest", "on", ">secret", "~*", "+@all", "-info").Err(); err != nil {
		t.Fatal(err)
	}
	guest := redis.NewClient(&redis.Options{Addr: client.Options().Addr, Username: "guest", Password: "secret", MaxRetries: -1, DisableIdentity: true})
	t.Cleanup(func() { _ = guest.Close() })
	if look(guest); !slices.Equal(got, []string{"version unread", "eviction unread", "memory unread"}) || !strings.Contains(text, "`ACL SETUSER USER +info` allows") {
		t.Errorf("found %v of a Redis whose user may not run INFO: %s", got, text)
	}
}

func TestServicesAreLookedAtEachMinuteWhileThereIsSomethingToPutRightAndElseHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var looks atomic.Int64
		var mended atomic.Bool
		c := &Cache{check: func(context.Context) []Finding {
			looks.Add(1)
			notes := []Finding{{Check: CheckLifecycle, Severity: SeverityRemark}, {Check: CheckMemory, Severity: SeverityUnread}}
			if mended.Load() {
				return notes
			}
			return append(notes, Finding{Check: CheckEviction, Severity: SeverityWarning})
		}}
		ended := make(chan error, 1)
		go func() { ended <- c.inspect(ctx) }()
		for _, step := range []struct {
			wait     time.Duration
			mend     bool
			looks    int64
			findings int
		}{
			{0, false, 1, 3},
			{10 * time.Minute, false, 11, 3},
			{time.Minute, true, 12, 2},
			{59 * time.Minute, true, 12, 2},
			{time.Minute, true, 13, 2},
			{time.Hour, false, 14, 3},
		} {
			mended.Store(step.mend)
			time.Sleep(step.wait)
			synctest.Wait()
			if got := len(c.inspected.Load().findings); looks.Load() != step.looks || got != step.findings {
				t.Errorf("after %s more: %d looks, %d findings; want %d, %d", step.wait, looks.Load(), got, step.looks, step.findings)
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}
