package mutation

func dynamodbMutations() []mutation {
	return []mutation{
		{
			"a table's writes", "dynamodb/habits.go",
			"return m.writes.admit(now, h.Writes, h.PartitionWrites, key)", "return m.writes.admit(now, limit.Rate{}, h.PartitionWrites, key)",
			"TestATableIsThrottledBeyondItsCapacity",
		},
		{
			"a table's reads", "dynamodb/habits.go",
			"return m.reads.admit(now, h.Reads, h.PartitionReads, key)", "return m.reads.admit(now, limit.Rate{}, h.PartitionReads, key)",
			"TestATableIsThrottledBeyondItsCapacity",
		},
		{
			"a partition's writes", "dynamodb/habits.go",
			"return m.writes.admit(now, h.Writes, h.PartitionWrites, key)", "return m.writes.admit(now, h.Writes, limit.Rate{}, key)",
			"TestOnePartitionIsThrottledAlone",
		},
		{
			"a partition's reads", "dynamodb/habits.go",
			"return m.reads.admit(now, h.Reads, h.PartitionReads, key)", "return m.reads.admit(now, h.Reads, limit.Rate{}, key)",
			"TestOnePartitionIsThrottledAlone",
		},
		{
			"large items take more units", "dynamodb/capacity.go",
			"func units(bytes, size int) float64 { return float64((bytes + size - 1) / size) }", "func units(_, _ int) float64 { return 1 }",
			"TestConsumedCapacityFollowsTheItemsSize",
		},
		{
			"UnprocessedItems", "dynamodb/batch.go",
			"out.UnprocessedItems[w.named] = append(", "_ = append(",
			"TestABatchLeavesUnprocessedWhatIsThrottled",
		},
		{
			"a batch of which nothing was done", "dynamodb/batch.go",
			"	if done == 0 && served > 0 {\n		return batchWriteOutput{}", "	if false {\n		return batchWriteOutput{}",
			"TestABatchLeavesUnprocessedWhatIsThrottled",
		},
		{
			"25 writes a batch", "dynamodb/batch.go",
			"if total > maxBatchWrites {", "if false {",
			"TestABatchWithOneInvalidWriteWritesNothing",
		},
		{
			"a batch has each key once", "dynamodb/batch.go",
			"if seen[w.id()] {", "if false {",
			"TestABatchWithOneInvalidWriteWritesNothing",
		},
		{
			"100 keys a batch", "dynamodb/batch.go",
			"total += len(wanted.Keys); total > maxBatchGets {", "total += len(wanted.Keys); false {",
			"TestBatchGetRefusesMoreThan100KeysAndDuplicates",
		},
		{
			"16 MB a batch", "dynamodb/batch.go",
			"bytes += item.ItemSize(); bytes > maxBatchGetBytes {", "bytes += item.ItemSize(); false {",
			"TestBatchGetLeavesKeysBeyond16MegabytesUnprocessed",
		},
		{
			"400 KB an item, put", "dynamodb/write.go",
			"if in.Item.ItemSize() > maxItemBytes {", "if false {",
			"TestPutRefusesImproperItems",
		},
		{
			"400 KB an item, updated", "dynamodb/write.go",
			"if next.ItemSize() > maxItemBytes {", "if false {",
			"TestAnUpdateCannotMakeAnItemTooLarge",
		},
		{
			"2,048 bytes a partition key", "dynamodb/key.go",
			"if v.Size() > maxHashKey {", "if false {",
			"TestKeysHaveALargestSize",
		},
		{
			"1,024 bytes a sort key", "dynamodb/key.go",
			"if v.Size() > maxRangeKey {", "if false {",
			"TestKeysHaveALargestSize",
		},
		{
			"100 writes a transaction", "dynamodb/transact.go",
			"len(in.TransactItems) > maxTransaction {\n		return transactWriteOutput{}", "false {\n		return transactWriteOutput{}",
			"TestImproperTransactionsAreRefused",
		},
		{
			"4 MB a transaction", "dynamodb/transact.go",
			"if bytes > maxTransactionBytes {", "if false {",
			"TestATransactionHoldsFourMegabytes",
		},
		{
			"ten minutes of a transaction's token", "dynamodb/transact.go",
			"expires: now.Add(tokenLife)}", "expires: now.Add(24 * time.Hour)}",
			"TestATransactionsTokenIsForgottenAfterTenMinutes",
		},
		{
			"1 MB a page", "dynamodb/read.go",
			"|| p.bytes >= maxPageBytes {", "{",
			"TestAPageEndsAtOneMegabyte",
		},
		{
			"expired items go late", "dynamodb/ttl.go",
			"now.Add(-time.Duration(h.TTLDelay))", "now",
			"TestExpiredItemsStayUntilTheDelayIsOver",
		},
		{
			"stream records are seen late", "dynamodb/streamapi.go",
			"if now.Sub(r.at) < time.Duration(s.Habits().StreamLag) {", "if false {",
			"TestStreamRecordsAreSeenAfterTheLagAndShardsEnd",
		},
		{
			"shards close and have children", "dynamodb/ttl.go",
			"if h.ShardLife > 0 {", "if false {",
			"TestStreamRecordsAreSeenAfterTheLagAndShardsEnd",
		},
		{
			"stream records are trimmed", "dynamodb/ttl.go",
			"st.trim(now.Add(-h.retention()))", "st.trim(now.Add(-365 * 24 * time.Hour))",
			"TestStreamRecordsAreSeenAfterTheLagAndShardsEnd",
		},
		{
			"after 24 hours", "dynamodb/habits.go",
			"	if h.StreamRetention == 0 {\n		return streamRetention", "	if h.StreamRetention == 0 {\n		return 2 * streamRetention",
			"TestRecordsOlderThanADayAreTrimmed",
		},
		{
			"iterators live for 15 minutes", "dynamodb/streamapi.go",
			"if now.Sub(it.Issued) > iteratorLife {", "if false {",
			"TestRecordsOlderThanADayAreTrimmed",
		},
		{
			"1 MB of records a call", "dynamodb/streamapi.go",
			"|| len(out.Records) > 0 && bytes > maxRecordsBytes {", "{",
			"TestGetRecordsReturnsAboutOneMegabyte",
		},
		{
			"1,000 records a call", "dynamodb/streamapi.go",
			"limitFrom(in.Limit, maxRecords)", "limitFrom(in.Limit, 1<<30)",
			"TestGetRecordsReturnsAThousandRecordsAtMost",
		},
		{
			"a put that changes nothing leaves no record", "dynamodb/stream.go",
			"case attribute.Equal(c.old, c.next):", "case false:",
			"TestEachChangeIsOneRecordWithBothImages",
		},
	}
}
