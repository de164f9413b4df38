package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// faultsOfTheCache names, for each fault that the output cache survives, the tests that show it.
func faultsOfTheCache() []struct{ fault, dir, tests string } {
	return []struct{ fault, dir, tests string }{
		{"Redis is emptied in the middle of a run", "test/e2e", "TestNothingIsLostWithRedis"},
		{"Redis is emptied", "cache", "TestAnEmptiedRedisIsUnknownUntilAnotherEpochIsBuilt TestRedisEmptiedDuringALookupGivesNoMissForWhatExists TestRedisEmptiedDuringAWriteIsLost TestRedisEmptiedDuringABuildAbandonsIt"},
		{"Redis fails over to a snapshot ten minutes old", "cache", "TestAFailoverToASnapshotTenMinutesOldIsUnknownUntilTheViewIsBuiltAnew TestAnOldSnapshotNeverAnswers TestAnOldSnapshotIsNoticedByAFollowerThatWasAway"},
		{"Redis fails over beneath a whole controller", "test/e2e", "TestAFailoverToAnOldSnapshotOfRedisGivesNoWrongHitAndLosesNone"},
		{"a third of what Redis is sent times out", "cache", "TestTimeoutsOnAThirdOfWhatRedisIsSentLoseNothing TestAThirdOfTheTransactionsFailingBeforeOrAfterTheirEffectLosesNothing TestOnlyTheKeysOfFailedCommandsAreUnknown"},
		{"Redis has no memory to write (OOM)", "cache", "TestARedisThatIsFullForAnHourAnswersNothingOldAndCatchesUp TestARealRedisWithoutMemoryRefusesTheWholeBatch"},
		{"DynamoDB throttles three calls of ten", "cache", "TestNothingIsLostWhileDynamoDBThrottlesThreeCallsOfTen"},
		{"DynamoDB leaves items of a batch unprocessed", "cache", "TestNothingIsLostWhenThreeItemsOfTenAreLeftUnprocessed TestOnlyWhatWasLeftOfABatchIsSentAgainAndReported"},
		{"time to live is two days late", "cache", "TestWhatIsExpiredLeavesTheViewThoughTimeToLiveIsDaysLate TestAnExpiredItemIsNoHit"},
		{"a shard splits while it is read", "cache", "TestChildrenOfASplitShardAreFollowed TestAChildIsNotReadBeforeItsParent"},
		{"stream records come twice, and checkpoints are lost", "cache", "TestLostCheckpointsAndRepeatedRecordsChangeNothing"},
		{"stream records are trimmed, or the stream is replaced", "cache", "TestRecordsThatWereTrimmedLeadToANewEpoch TestAStreamThatWasReplacedLeadsToANewEpoch TestAStreamThatCannotBeReadBeforeItsRecordsAreTrimmedLeadsToANewEpoch"},
		{"a notification is lost", "cache", "TestTheNextNotificationOfAKeyMakesUpForALostOne TestAnOutputOfWhichNobodyWasToldIsFoundInTheBucket TestAnOutputOfWhoseRemovalNobodyWasToldIsFoundMissing"},
		{"a notification is repeated", "cache", "TestARepeatedNotificationNeedsNoLook TestAPublishedOutputIsWrittenOnceHoweverOftenItIsNotified"},
		{"a notification comes days late", "cache", "TestNotificationsThatComeDaysLateEndWithWhatS3Holds TestANotificationThatComesDaysLateChangesNothing"},
		{"notifications are out of order with a deletion", "cache", "TestAPutAndADeletionToldBackwardsEndWithTheDeletion TestNotificationsOutOfOrderEndWithWhatS3Holds"},
		{"the lifecycle comes before the ledger", "cache", "TestAnOutputThatTheLifecycleExpiredBeforeTheLedgerLeavesTheLedger TestALifecycleThatRemovesWhatTheCachePromisesIsWrong"},
		{"an output is deleted by hand", "cache", "TestAnOutputDeletedByHandLeavesTheLedger"},
		{"an output is deleted by hand, and a run needs it", "test/e2e", "TestAnOutputWhoseManifestWasDeletedIsMadeAgain"},
		{"S3 says SlowDown", "cache", "TestNothingIsLostWhileS3AsksToSlowDown"},
		{"the updater is killed at any step", "cache", "TestAnUpdaterKilledAtAnyStepIsMadeUpForByTheNext"},
		{"a controller is killed while it updates or rebuilds", "test/e2e", "TestTheCacheSurvivesAControllerKilledWhileItUpdatesAndWhileItRebuilds"},
		{"a build's process dies", "cache", "TestABuildGoesOnInAnotherProcessWhereItStood TestARemovalThatABuildWasAboutToUndoIsNotLostWithItsProcess"},
		{"a controller stands still and is overtaken", "cache", "TestAnUpdaterThatWasOvertakenWhileItStoodStillPutsItsWriteRight TestAnUpdaterThatWasOvertakenAndDiesIsMadeUpForByItsMessage TestAFollowerThatWasReplacedEndsWithoutHavingWritten"},
		{"all of these, in random order", "cache", "TestWhateverHappensTheCacheIsNeverWronglySureAndAlwaysHeals"},
	}
}

func TestEachFaultOfTheCacheHasItsTests(t *testing.T) {
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	declared := map[string]map[string]bool{}
	for _, f := range faultsOfTheCache() {
		if declared[f.dir] == nil {
			declared[f.dir] = map[string]bool{}
			files, err := filepath.Glob(filepath.Join("..", "..", f.dir, "*_test.go"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%s: no tests, %v", f.dir, err)
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, match := range declaration.FindAllSubmatch(text, -1) {
					declared[f.dir][string(match[1])] = true
				}
			}
		}
		for _, name := range regexp.MustCompile(`\S+`).FindAllString(f.tests, -1) {
			if !declared[f.dir][name] {
				t.Errorf("%s: there is no %s in %s", f.fault, name, f.dir)
			}
		}
	}
}
