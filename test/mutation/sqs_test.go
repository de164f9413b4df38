package mutation

func sqsMutations() []mutation {
	return []mutation{
		{
			"120,000 messages in flight", "sqs/habits.go",
			"	if c.InFlight == 0 {\n", "	if false {\n",
			"TestADefaultQueueHasAHundredAndTwentyThousandInFlight",
		},
		{
			"a set limit of messages in flight", "sqs/queue.go",
			"&& q.counts[inFlight] < q.chance.inFlightLimit() {", "{",
			"TestALimitOfMessagesInFlightGivesNothingAndNoError",
		},
		{
			"visibility timeout", "sqs/queue.go",
			"q.hide(m, inFlight, now.Add(q.chance.hideFor(visibility, twice)))", "q.show(m)",
			"TestAReceivedMessageIsInvisibleUntilItIsReturned",
		},
		{
			"its end", "sqs/queue.go",
			"for len(q.hidden) > 0 && !q.hidden[0].wakes.After(now) {", "for false {",
			"TestAHiddenMessageIsVisibleAgainWhenItsTimeIsUp",
		},
		{
			"12 hours of visibility in all", "sqs/queue.go",
			"case now.Add(visibility).Sub(m.lastReceived) > maxVisibility:", "case false:",
			"TestVisibilityEndsTwelveHoursAfterTheReceive",
		},
		{
			"12 hours of visibility a call", "sqs/receive.go",
			"if visibility < 0 || visibility > maxVisibility {", "if visibility < 0 {",
			"TestVisibilityEndsTwelveHoursAfterTheReceive",
		},
		{
			"an old receipt handle deletes nothing", "sqs/queue.go",
			"	if m == nil || m.receives != receive {\n		return\n", "	if m == nil {\n		return\n",
			"TestAStaleReceiptHandleDeletesNothing",
		},
		{
			"delivery delay", "sqs/queue.go",
			"	if delay > 0 {\n", "	if false {\n",
			"TestAHiddenMessageIsVisibleAgainWhenItsTimeIsUp",
		},
		{
			"retention", "sqs/queue.go",
			"if now.Sub(m.sent) >= q.settings.retention {", "if false {",
			"TestAMessageOlderThanTheRetentionIsGone",
		},
		{
			"redrive to the dead-letter queue", "sqs/queue.go",
			"q.settings.maxReceives > 0 && m.receives >= q.settings.maxReceives {", "false {",
			"TestAMessageReceivedTooOftenGoesToTheDeadLetterQueue",
		},
		{
			"size of a message", "sqs/send.go",
			"if size > q.settings.maxBytes {", "if size < 0 {",
			"TestTheSizeLimitIsTheQueues",
		},
		{
			"size of a batch", "sqs/send.go",
			"if total > q.settings.maxBytes {", "if false {",
			"TestABatchFailsAsAWholeOnlyForWhatConcernsItAsAWhole",
		},
		{
			"ten entries a batch", "sqs/batch.go",
			"if len(entries) > maxBatch {", "if false {",
			"TestABatchFailsAsAWholeOnlyForWhatConcernsItAsAWhole",
		},
		{
			"distinct ids of a batch", "sqs/batch.go",
			"if seen[id] {", "if false {",
			"TestABatchFailsAsAWholeOnlyForWhatConcernsItAsAWhole",
		},
		{
			"ten messages a receive", "sqs/receive.go",
			"limit < 1 || limit > maxBatch {", "limit < 1 {",
			"TestFaultsHaveSQSsCodes",
		},
		{
			"long polls of 20 s", "sqs/receive.go",
			"if wait < 0 || wait > maxWait {", "if wait < 0 {",
			"TestALongPollIsOfTwentySecondsAtMost",
		},
		{
			"a long poll ends", "sqs/receive.go",
			"	case <-timeout.C:\n", "	case <-(chan time.Time)(nil):\n",
			"TestALongPollEndsAfterItsTimeAndServesReturningMessagesBefore",
		},
		{
			"depths lag", "sqs/habits.go",
			"	if lag == 0 {\n		return q.counts\n", "	if true {\n		return q.counts\n",
			"TestDepthsLagBehindWhatHappened",
		},
		{
			"some come twice", "sqs/habits.go",
			"c.Duplicates > 0 && c.random", "c.Duplicates > 1 && c.random",
			"TestADeliveryMayComeTwiceWhileTheFirstIsInHand",
		},
		{
			"on demand too", "sqs/habits.go",
			"	if twice || c.Duplicates", "	if c.Duplicates",
			"TestADeliveryMayComeTwiceWhileTheFirstIsInHand",
		},
		{
			"the order is not kept", "sqs/habits.go",
			"if window := min(c.Shuffle, n); window > 1 {", "if window := min(c.Shuffle, n); window < 0 {",
			"TestTheOrderIsOnlyAtBestKept",
		},
		{
			"short polls may find nothing", "sqs/habits.go",
			"return c.EmptyReceives > 0 && ", "return c.EmptyReceives > 1 && ",
			"TestAShortPollMayFindNothingAndALongOneFindsIt",
		},
		{
			"a batch may fail in part", "sqs/batch.go",
			"served = rule.Refused(len(entries))", "_ = rule",
			"TestABatchMayFailInPart",
		},
	}
}
