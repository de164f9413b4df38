package mutation

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
)

// The random histories of the output cache that each of its mutations is tried in.
const (
	histories    = 16
	firstHistory = 1 // its seed
	inHistories  = "TestWhateverHappensTheCacheIsNeverWronglySureAndAlwaysHeals"
)

// cacheMutation takes one of the output cache's precautions away.
type cacheMutation struct {
	without string // the precaution
	file    string // in cache
	from    string // occurs once in the file
	to      string
	test    string // that misses it, whatever the histories do; in cache
}

func cacheMutations() []cacheMutation {
	return []cacheMutation{
		{
			"removals in the stream are looked at", "tail.go",
			"if r.Dynamodb == nil {", "if r.Dynamodb == nil || r.EventName == types.OperationTypeRemove {",
			"TestAnOutputInTheLedgerBecomesAHitAndARemovedOneAMiss",
		},
		{
			"an item past its expiry is none", "ledger.go",
			"case o.ExpiresAt.After(now):", "default:",
			"TestAnExpiredItemIsNoHit",
		},
		{
			"an item expires with its manifest, not with its notification", "updater.go",
			"CreatedAt: info.LastModified, ExpiresAt: expires,", "CreatedAt: now, ExpiresAt: now.Add(retention),",
			"TestAPublishedOutputIsWrittenOnceHoweverOftenItIsNotified",
		},
		{
			"a message stays until its write is durable", "updater.go",
			"		case resultFailed:\n			return true, nil", "		case resultFailed:\n			return false, nil",
			"TestMessagesAreDeletedOnlyOnceTheLedgerHasWhatTheySay",
		},
		{
			"a message that comes again is looked at whatever its sequencer", "updater.go",
			"if m.ReceiveCount > 1 {", "if false {",
			"TestAnUpdaterThatWasOvertakenAndDiesIsMadeUpForByItsMessage",
		},
		{
			"a newer sequencer is looked at", "sequencer.go",
			"compareSequencers(c.Sequencer, newest) <= 0", "compareSequencers(c.Sequencer, newest) >= 0",
			"TestOnlyTheNewestChangesAreRememberedAndSoManyKeysAtMost",
		},
		{
			"after a write that took long S3 is looked at again", "updater.go",
			"if time.Since(began) < overtakenAfter {", "if time.Since(began) < time.Hour {",
			"TestAnUpdaterThatWasOvertakenWhileItStoodStillPutsItsWriteRight",
		},
		{
			"a key is held from the look to the write", "keylock.go",
			"for l.heldAny(keys) {", "for false {",
			"TestKeyLocksExclude",
		},
		{
			"a retraction reaches what the view alone has", "lookup.go",
			"if err := c.Ledger.bury(ctx, now, key); err != nil {", "if err := error(nil); err != nil {",
			"TestAHitThatTheViewAloneHasIsForgottenWhoeverAsks",
		},
		{
			"a refresh puts the manifest with If-Match", "refreshone.go",
			"etag, err := r.Objects.Put(ctx, path, data, objects.Condition{IfMatch: info.ETag})", "etag, err := r.Objects.Put(ctx, path, data, objects.Condition{})",
			"TestARefreshNeverBringsADeletedManifestBack",
		},
		{
			"changes wait until Redis has taken them", "session.go",
			"	keys := s.waiting.slice()\n", "	keys := s.waiting.slice()\n	clear(s.waiting)\n",
			"TestAThirdOfTheTransactionsFailingBeforeOrAfterTheirEffectLosesNothing",
		},
		{
			"removals during a build are applied again", "build.go",
			"if err := b.removed.note(remove); err != nil {", "if err := error(nil); err != nil {",
			"TestAnOutputRemovedBehindTheScanIsNoHit",
		},
		{
			"checkpoints stay during a build", "session.go",
			"	if s.build == nil {\n		if err := s.tail.save", "	if true {\n		if err := s.tail.save",
			"TestARemovalThatABuildWasAboutToUndoIsNotLostWithItsProcess",
		},
		{
			"who reads an older sequence believes nothing", "epoch.go",
			"return before > 0 && before >= at.Sequence && after >= before", "return before > 0",
			"TestAnOldSnapshotNeverAnswers",
		},
		{
			"who writes and finds an older sequence gives the epoch up", "writer.go",
			"if have < w.confirmed {", "if false {",
			"TestAnOldSnapshotNeverAnswers",
		},
		{
			"who writes and finds a later sequence ends", "writer.go",
			"if have > w.attempted {", "if false {",
			"TestAnOlderWriterIsFencedHoweverManyOfItsWritesNeverArrived",
		},
		{
			"the runs table knows the sequence", "session.go",
			"next.Sequence, next.Outputs = s.live.Mark().Sequence,", "next.Sequence, next.Outputs = 1,",
			"TestAnOldSnapshotIsNoticedByAFollowerThatWasAway",
		},
		{
			"an epoch that was given up does not answer again", "epoch.go",
			"e.retired = max(e.retired, epoch)", "e.retired = 0",
			"TestALookUpBeforeTheRecordSaysThatAnEpochIsRetiredDoesNotReviveIt",
		},
		{
			"a view that is a minute behind does not answer", "epoch.go",
			"const staleAfter = time.Minute", "const staleAfter = time.Hour",
			"TestAViewThatIsNotFollowedForAMinuteDoesNotAnswer",
		},
		{
			"a build goes live when it has the stream's changes", "build.go",
			"flips := scanned && now.Sub(s.followed) <= staleAfter", "flips := scanned",
			"TestABuildIsNotLiveWhileTheStreamIsMoreThanAMinuteBehind",
		},
	}
}

// in is the mutation with the test that is to miss it.
func (m cacheMutation) in(test string) mutation {
	return mutation{limit: m.without, file: filepath.Join("..", "cache", m.file), from: m.from, to: m.to, test: filepath.Join("cache", test)}
}

func TestEachMutationOfTheCacheFindsItsTextAndItsTest(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "cache", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}
	for _, m := range cacheMutations() {
		if n := strings.Count(m.in("").source(t), m.from); n != 1 || m.from == m.to {
			t.Errorf("%s: %q is %d times in %s, want once, and changed", m.without, m.from, n, m.file)
		}
		for _, test := range []string{m.test, inHistories} {
			if test != "" && !strings.Contains(tests.String(), "\nfunc "+test+"(t *testing.T)") {
				t.Errorf("%s: there is no %s in cache", m.without, test)
			}
		}
	}
}

// TestEachMutationOfTheCacheIsMissed counts the random histories that miss each precaution. The test that is named must miss
// it too, so that nothing depends on chance.
func TestEachMutationOfTheCacheIsMissed(t *testing.T) {
	if !*mutate {
		t.Skip("make mutate-cache runs it")
	}
	all := cacheMutations()
	rows := make([]string, len(all))
	t.Run("without", func(t *testing.T) {
		for i, m := range all {
			t.Run(m.without, func(t *testing.T) {
				t.Parallel()
				binary := m.build(t)
				missed, verdict := missedBy(t, binary), runIn(t, binary, m.test)
				if verdict != failed {
					t.Errorf("%s %s", m.test, verdict)
				}
				rows[i] = fmt.Sprintf("%s\t%d\t%s %s\n", m.without, missed, m.test, verdict)
			})
		}
	})
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "WITHOUT\tHISTORIES OF %d THAT MISS IT\tTEST\n%s", histories, strings.Join(rows, ""))
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// build is the name of a binary of the cache's tests, without the precaution.
func (m cacheMutation) build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "cache.test")
	command := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, "-overlay", m.in(m.test).overlay(t), "-vet=off", "./cache")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s:\n%s", unproven, out)
	}
	return binary
}

// runTests runs the tests of a binary where they expect to be.
func runTests(t *testing.T, binary string, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, args...)
	command.Dir = filepath.Join(root, "cache")
	out, err := command.CombinedOutput()
	return string(out), err
}

func runIn(t *testing.T, binary, test string) string {
	t.Helper()
	return verdictOf(runTests(t, binary, "-test.timeout=2m", "-test.run=^"+test+"$"))
}

// missedBy is how many histories fail.
func missedBy(t *testing.T, binary string) int {
	t.Helper()
	text, err := runTests(t, binary, "-test.timeout=15m", "-test.run=^"+inHistories+"$", "-rounds="+strconv.Itoa(histories), "-seed="+strconv.Itoa(firstHistory))
	if verdict := verdictOf(text, err); verdict != passed && verdict != failed {
		t.Fatal(verdict)
	}
	return len(regexp.MustCompile(`--- FAIL: \S+/seed=`).FindAllString(text, -1))
}
