package mutation

func s3Mutations() []mutation {
	return []mutation{
		{
			"SlowDown for writes and reads of a prefix", "s3/habits.go",
			"if !b.Has(now, rate, 1) {", "if false {",
			"TestAPrefixThatIsAskedTooMuchSlowsDown",
		},
		{
			"for reads by their own rate", "s3/habits.go",
			"rate := c.habits.Reads\n", "rate := c.habits.Writes\n",
			"TestAPrefixThatIsAskedTooMuchSlowsDown",
		},
		{
			"each prefix by itself", "s3/habits.go",
			"name := bucketName + \"/\" + prefixOf(key)", "name := bucketName",
			"TestAPrefixThatIsAskedTooMuchSlowsDown",
		},
		{
			"If-None-Match", "s3/store.go",
			"if c.ifNoneMatch != \"\" && current != nil &&", "if false && c.ifNoneMatch != \"\" && current != nil &&",
			"TestOfManyPutsIfAbsentExactlyOneWins",
		},
		{
			"If-Match of writes and deletes", "s3/store.go",
			"if c.ifMatch != \"*\" && !sameETag(c.ifMatch, current.etag) {", "if false {",
			"TestIfMatchGuardsPutGetAndDelete",
		},
		{
			"If-Match of reads", "s3/object.go",
			"if match != \"*\" && !sameETag(match, o.etag) {", "if false {",
			"TestIfMatchGuardsPutGetAndDelete",
		},
		{
			"conditional writes may conflict", "s3/habits.go",
			"if given == (conditions{}) || c.habits.Conflicts == 0 ||", "if c.habits.Conflicts >= 0 ||",
			"TestAConditionalWriteMayMeetAnother",
		},
		{
			"missing keys may be hidden", "s3/server.go",
			"&& s.Habits().HideMissing {", "&& false {",
			"TestAMissingKeyMayBeHidden",
		},
		{
			"notifications are late and out of order", "s3/habits.go",
			"late = append(late, from+time.Duration(c.random.Float64()*float64(to-from)))", "late = append(late, 0*(from+to))",
			"TestNotificationsComeLateTwiceAndInAnotherOrder",
		},
		{
			"notifications come twice", "s3/habits.go",
			"if c.habits.NotifiedTwice > 0 && ", "if c.habits.NotifiedTwice > 1 && ",
			"TestNotificationsComeLateTwiceAndInAnotherOrder",
		},
		{
			"ETags that are no digests", "s3/store.go",
			"if s.ownETag() {", "if false {",
			"TestWhereKMSEncryptsTheSameBytesPutOrCopiedAgainHaveAnotherETag",
		},
		{
			"objects expire", "s3/lifecycle.go",
			"return applies && !when.After(at)", "return applies && when.IsZero()",
			"TestObjectsExpireAtTheMidnightAfterTheirDays",
		},
		{
			"at midnight", "s3/lifecycle.go",
			"if midnight := at.Truncate(day); midnight.Before(at) {", "if midnight := at.Truncate(day); false {",
			"TestObjectsExpireAtTheMidnightAfterTheirDays",
		},
		{
			"or later", "s3/lifecycle.go",
			"now.Add(-time.Duration(s.Habits().LifecycleDelay))", "now",
			"TestObjectsExpireAtTheMidnightAfterTheirDays",
		},
		{
			"1,024 bytes a key", "s3/object.go",
			"if len(o.key) > maxKeyBytes {", "if false {",
			"TestKeysAndMetadataHaveALargestSize",
		},
		{
			"2 KB of metadata", "s3/object.go",
			"if metadata > maxMetadataBytes {", "if false {",
			"TestKeysAndMetadataHaveALargestSize",
		},
		{
			"If-Match of a copied part's source", "s3/part.go",
			"if err := allowCopy(r.Header, source); err != nil {", "if err := allowCopy(r.Header, source); err != nil && false {",
			"TestAPartIsCopiedFromARangeOfItsSource",
		},
		{
			"a copy onto itself must change something", "s3/object.go",
			"if !replace && fromBucket == bucketName", "if false && fromBucket == bucketName",
			"TestACopyOntoItselfMustReplaceTheMetadata",
		},
	}
}

func sandboxMutations() []mutation {
	return []mutation{
		{
			"a bucket holds its burst and no more", "limit/limit.go",
			"b.tokens = min(b.tokens, r.Burst)", "",
			"TestABucketHoldsItsBurstAndNoMore",
		},
		{
			"a bucket fills at its rate", "limit/limit.go",
			"b.tokens += elapsed.Seconds() * r.PerSecond", "b.tokens += elapsed.Seconds()",
			"TestABucketFillsAtItsRate",
		},
		{
			"a silent Redis", "redis.go",
			"	if hung != nil {\n		<-hung\n", "	if false {\n		<-hung\n",
			"TestARedisThatHangsTimesOutAndAnswersAgain",
		},
		{
			"a Redis as it was before", "redis.go",
			"	for _, key := range saved {\n		key.write(ctx, pipe)", "	for _, key := range saved {\n		_ = key.write",
			"TestARedisFailsOverToAnOldSnapshotAndToNothing",
		},
		{
			"the documented figures", "ecs/figures.go",
			"LookCalls: Rate{Burst: 100, PerSecond: 20}", "LookCalls: Rate{Burst: 100, PerSecond: 40}",
			"sandbox/TestTheUsualAccountHasTheDocumentedFigures",
		},
	}
}
