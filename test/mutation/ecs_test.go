package mutation

func ecsMutations() []mutation {
	return []mutation{
		{
			"On-Demand launch bucket", "ecs/launch.go",
			"if !a.bucket(provider).Has(", "if provider != onDemandProvider && !a.bucket(provider).Has(",
			"TestThreeThousandTasksAreAcceptedAtTheAccountsRate",
		},
		{
			"Spot launch bucket", "ecs/launch.go",
			"if !a.bucket(provider).Has(", "if provider != spotProvider && !a.bucket(provider).Has(",
			"TestThreeThousandTasksAreAcceptedAtTheAccountsRate",
		},
		{
			"launch buckets are two", "ecs/launch.go",
			"needs[cmp.Or(provider, onDemandProvider)]++", "needs[cmp.Or(provider[:0], onDemandProvider)]++",
			"TestSpotHasABucketOfItsOwn",
		},
		{
			"a throttled launch takes no tokens", "ecs/launch.go",
			"			return nil, errThrottled()\n", "			a.bucket(provider).Take(n)\n			return nil, errThrottled()\n",
			"TestAThrottledLaunchTakesNoTokens",
		},
		{
			"bucket of calls that change tasks", "ecs/server.go",
			"s.account.admit(now, changeCalls, runTaskCalls)", "s.account.admit(now, runTaskCalls)",
			"TestCallsAreThrottledByTheirKind",
		},
		{
			"StopTask draws on it", "ecs/server.go",
			"s.account.admit(time.Now(), changeCalls)", "s.account.admit(time.Now())",
			"TestCallsAreThrottledByTheirKind",
		},
		{
			"RunTask calls a second", "ecs/server.go",
			"s.account.admit(now, changeCalls, runTaskCalls)", "s.account.admit(now, changeCalls)",
			"TestCallsAreThrottledByTheirKind",
		},
		{
			"bucket of looks: ListTasks", "ecs/listing.go",
			"if err := a.admit(now, lookCalls); err != nil {\n		return listTasksOutput{}, err", "if err := a.admit(now); err != nil {\n		return listTasksOutput{}, err",
			"TestCallsAreThrottledByTheirKind",
		},
		{
			"bucket of looks: DescribeTasks", "ecs/listing.go",
			"if err := a.admit(now, lookCalls); err != nil {\n		return nil, nil, err", "if err := a.admit(now); err != nil {\n		return nil, nil, err",
			"TestCallsAreThrottledByTheirKind",
		},
		{
			"bucket of DescribeClusters", "ecs/listing.go",
			"s.account.admit(time.Now(), clusterCalls)", "s.account.admit(time.Now())",
			"TestCallsAreThrottledByTheirKind",
		},
		{
			"vCPU quota On-Demand", "ecs/place.go",
			"if u.vcpus[provider]+vcpus >", "if provider != onDemandProvider && u.vcpus[provider]+vcpus >",
			"TestTheQuotaOfVCPUsIsPerProviderAndCountsWhatRuns",
		},
		{
			"vCPU quota Spot", "ecs/place.go",
			"if u.vcpus[provider]+vcpus >", "if provider != spotProvider && u.vcpus[provider]+vcpus >",
			"TestTheQuotaOfVCPUsIsPerProviderAndCountsWhatRuns",
		},
		{
			"a quota with room for none is an exception", "ecs/launch.go",
			"if len(tasks) == 0 && answer.Failures[0].Reason == reasonVCPUs {", "if false {",
			"TestTheQuotaOfVCPUsIsPerProviderAndCountsWhatRuns",
		},
		{
			"addresses of any subnet", "ecs/place.go",
			"free := f.Addresses", "free := 1 << 30",
			"TestSubnetsRunOutOfAddressesAndOfCapacity",
		},
		{
			"addresses of a named subnet", "ecs/place.go",
			"free = own", "free = max(own, free)",
			"TestSubnetsRunOutOfAddressesAndOfCapacity",
		},
		{
			"capacity of a subnet and provider", "ecs/place.go",
			"named && u.tasks[place{provider, candidate}] >= limit {", "named && limit < 0 {",
			"TestSubnetsRunOutOfAddressesAndOfCapacity",
		},
		{
			"network interfaces of the Region", "ecs/place.go",
			"if u.interfaces >= f.Interfaces {", "if false {",
			"TestSubnetsRunOutOfAddressesAndOfCapacity",
		},
		{
			"a stopped task leaves its room", "ecs/task.go",
			"	t.vacate(t)\n", "",
			"TestWhatIsTakenUpIsWhatTheTasksThatRunTakeUp",
		},
		{
			"at most ten tasks a call", "ecs/launch.go",
			"|| *r.Count > maxCount:", ":",
			"TestWrongRequestsAreRefusedBeforeTheBucket",
		},
		{
			"length of startedBy", "ecs/launch.go",
			"case len(r.StartedBy) > maxStartedBy:", "case false:",
			"TestWrongRequestsAreRefusedBeforeTheBucket",
		},
		{
			"length of clientToken", "ecs/launch.go",
			"case len(r.ClientToken) > maxTokenLength || strings", "case strings",
			"TestWrongRequestsAreRefusedBeforeTheBucket",
		},
		{
			"characters of clientToken", "ecs/launch.go",
			"return c < 33 || c > 126", "return false",
			"TestWrongRequestsAreRefusedBeforeTheBucket",
		},
		{
			"length of overrides", "ecs/launch.go",
			"case len(r.Overrides) > maxOverrideLength:", "case false:",
			"TestWrongRequestsAreRefusedBeforeTheBucket",
		},
		{
			"clientToken memory", "ecs/launch.go",
			"ok && request.ClientToken != \"\" && !known.forgotten(now)", "ok && known.at.IsZero()",
			"TestARepeatedTokenIsAnsweredAsBefore",
		},
		{
			"clientToken memory: failures too", "ecs/launch.go",
			"	if request.ClientToken != \"\" {\n", "	if request.ClientToken != \"\" && len(tasks) > 0 {\n",
			"TestAnAnswerWithFailuresIsRepeatedForItsToken",
		},
		{
			"clientToken is a cluster's", "ecs/launch.go",
			"launchKey{cluster: c.name, token:", "launchKey{token:",
			"TestTwoClustersHaveTheirOwnTokens",
		},
		{
			"clientToken's 24 hours", "ecs/launch.go",
			"now.Sub(l.at) >= tokenKept", "l.at.IsZero()",
			"TestATokenIsForgottenAfterADayOrAnHourAfterItsLastTask",
		},
		{
			"clientToken's hour after its tasks", "ecs/launch.go",
			"now.Sub(t.ended) < tokenKeptAfterTasks", "!t.ended.IsZero()",
			"TestATokenIsForgottenAfterADayOrAnHourAfterItsLastTask",
		},
		{
			"clientToken with another request", "ecs/launch.go",
			"if known.fingerprint != fingerprint {", "if false {",
			"TestAChangedRequestWithAKnownTokenConflicts",
		},
		{
			"startedBy is the only filter", "ecs/listing.go",
			"if in.StartedBy != \"\" && (others", "if false && (others",
			"TestListingsFilterAndPage",
		},
		{
			"PENDING lists nothing", "ecs/listing.go",
			"return t.desired == in.DesiredStatus &&", "return (t.desired == in.DesiredStatus || in.DesiredStatus == pending) &&",
			"TestListingsFilterAndPage",
		},
		{
			"a hundred tasks a page", "ecs/listing.go",
			"limit < 1 || limit > maxDescribed", "limit < 1",
			"TestListingsHaveAHundredTasksAPage",
		},
		{
			"a hundred tasks described a call", "ecs/listing.go",
			"if len(in.Tasks) > maxDescribed {", "if false {",
			"TestListingsHaveAHundredTasksAPage",
		},
		{
			"listings lag", "ecs/listing.go",
			"if t.isSeen(now) && in.wants(t) {", "if in.wants(t) {",
			"TestANewTaskIsMissingFromListingsForAWhile",
		},
		{
			"descriptions lag", "ecs/listing.go",
			"if t == nil || !t.isSeen(now) {", "if t == nil {",
			"TestANewTaskIsMissingFromListingsForAWhile",
		},
		{
			"stopped tasks are listed for an hour", "ecs/account.go",
			"now.Sub(t.ended) >= stoppedKept", "!t.ended.IsZero()",
			"TestTasksAreForgottenAnHourAfterTheyStopped",
		},
		{
			"and no longer", "ecs/account.go",
			"now.Sub(t.ended) >= stoppedKept", "t.ended.IsZero()",
			"TestTasksAreForgottenAnHourAfterTheyStopped",
		},
		{
			"provisioning takes time", "ecs/supervise.go",
			"if !pause(ctx, t.fate.provisioning) {", "if !pause(ctx, 0) {",
			"TestStartUpGoesThroughProvisioningAndPending",
		},
		{
			"pulling takes time", "ecs/supervise.go",
			"if !pause(ctx, t.fate.pending) {", "if !pause(ctx, 0) {",
			"TestStartUpGoesThroughProvisioningAndPending",
		},
		{
			"some tasks never start", "ecs/supervise.go",
			"if t.fate.never {", "if false {",
			"TestATaskThatNeverStartsIsStoppedWithECSsReason",
		},
		{
			"some images cannot be pulled", "ecs/supervise.go",
			"if strings.Contains(spec.Image, part) {", "if strings.Contains(part, spec.Image+\" \") {",
			"TestAnImageThatIsNotThereStopsTheTask",
		},
		{
			"Spot is interrupted, by chance", "ecs/place.go",
			"if provider == spotProvider && f.SpotInterruptions > 0 {", "if false {",
			"TestASpotTaskIsInterruptedWithTwoMinutesAtMost",
		},
		{
			"On-Demand is not", "ecs/place.go",
			"if provider == spotProvider && f.SpotInterruptions > 0 {", "if f.SpotInterruptions > 0 {",
			"TestASpotTaskIsInterruptedWithTwoMinutesAtMost",
		},
		{
			"an interrupted task has its stopTimeout", "ecs/supervise.go",
			"for _, t := range spot { // whose time is up\n		s.stop(t, spotInterruption, reasonSpot, t.definition.container().stopTimeout())",
			"for _, t := range spot {\n		s.stop(t, spotInterruption, reasonSpot, time.Hour)",
			"TestAnInterruptedTaskIsKilledWhenItsTimeIsUp",
		},
		{
			"stopTimeout's two minutes", "ecs/definition.go",
			"|| c.stopTimeout() > maxStopTimeout {", "{",
			"TestAnInterruptedTaskIsKilledWhenItsTimeIsUp",
		},
	}
}
