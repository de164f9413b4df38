package contract

import (
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func manyItemsFacts() []Fact {
	return []Fact{
		{Name: "batch-writes", Sentence: "A batch puts and deletes up to 25 items", Source: apiBatchWrite, check: batchWrites},
		{Name: "batch-of-26", Sentence: "A batch of more than 25 writes is a ValidationException", Source: apiBatchWrite, check: batchOf26},
		{Name: "batch-of-the-same", Sentence: "A batch that writes the same item twice is a ValidationException", Source: apiBatchWrite, check: batchOfTheSame},
		{Name: "batch-gets", Sentence: "A batch reads up to 100 items and leaves out those that are not there", Source: apiBatchGet, check: batchGets},
		{Name: "batch-get-of-101", Sentence: "A batch of more than 100 reads is a ValidationException", Source: apiBatchGet, check: batchGetOf101},
		{Name: "transaction-writes-all", Sentence: "A transaction writes all of its items", Source: apiTransact, check: transactionWritesAll},
		{Name: "transaction-writes-none", Sentence: "A transaction of which one condition fails writes nothing, and gives a reason for each item, in order", Source: apiTransact, check: transactionWritesNone},
		{Name: "transaction-checks", Sentence: "A transaction may check an item that it does not write", Source: apiTransact, check: transactionChecks},
		{Name: "transaction-repeats", Sentence: "The same transaction with the same token is done once", Source: apiTransact, check: transactionRepeats},
		{Name: "transaction-token-conflict", Sentence: "Another transaction with the same token is an IdempotentParameterMismatchException", Source: apiTransact, check: transactionTokenConflict},
		{Name: "transaction-of-101", Sentence: "A transaction of more than 100 items is a ValidationException", Source: apiTransact, check: transactionOf101},
		{Name: "transaction-reads", Sentence: "A transaction reads several items at once", Source: "Amazon DynamoDB API reference, TransactGetItems", check: transactionReads},
		{Name: "query-in-order", Sentence: "A query gives a partition's items in the order of the sort key, or backwards", Source: apiQuery, check: queryInOrder},
		{Name: "query-by-beginning", Sentence: "A query finds sort keys by their beginning", Source: apiQuery, check: queryByBeginning},
		{Name: "query-pages", Sentence: "Pages of a query give each item once", Source: apiQuery, check: queryPages},
		{Name: "query-filter", Sentence: "A filter leaves items out after they were counted against the limit", Source: apiQuery, check: queryFilter},
		{Name: "scan-in-segments", Sentence: "Segments of a scan give each item once", Source: apiScan, check: scanInSegments},
		{Name: "page-of-1-mb", Sentence: "A page ends after 1 MB", Source: apiQuery, check: pageOf1MB},
	}
}

func batchWrites(p *probe) {
	t := p.table()
	keys := t.fill("a", 25)
	must(t.batchWrite([]types.WriteRequest{{DeleteRequest: &types.DeleteRequest{Key: at("a", keys[0])}}, putRequest(at("a", "more"))}))
	require(t.get(at("a", keys[0])) == nil && t.get(at("a", keys[1])) != nil && t.get(at("a", "more")) != nil, "not all was written")
}

func batchOf26(p *probe) {
	var requests []types.WriteRequest
	for _, sk := range numbered("row-", 26) {
		requests = append(requests, putRequest(at("a", sk)))
	}
	_, err := p.table().batchWrite(requests)
	refused(err, badRequest())
}

func batchOfTheSame(p *probe) {
	_, err := p.table().batchWrite([]types.WriteRequest{putRequest(at("a", "b")), putRequest(at("a", "b"))})
	refused(err, badRequest())
}

func (t *table) batchGet(keys []item) (*dynamodb.BatchGetItemOutput, error) {
	return t.client.BatchGetItem(t.ctx, &dynamodb.BatchGetItemInput{
		RequestItems: map[string]types.KeysAndAttributes{t.name: {Keys: keys, ConsistentRead: aws.Bool(true)}},
	})
}

func batchGets(p *probe) {
	t := p.table()
	var keys []item
	there := t.fill("a", 60)
	for _, sk := range slices.Concat(there, numbered("none-", 40)) {
		keys = append(keys, at("a", sk))
	}
	out := must(t.batchGet(keys))
	require(same(values(out.Responses[t.name], "sk"), there), "%d of 60 came", len(out.Responses[t.name]))
}

func batchGetOf101(p *probe) {
	var keys []item
	for _, sk := range numbered("row-", 101) {
		keys = append(keys, at("a", sk))
	}
	_, err := p.table().batchGet(keys)
	refused(err, badRequest())
}

func (t *table) inTransaction(i item, condition *string) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{TableName: &t.name, Item: i, ConditionExpression: condition}}
}

func (t *table) transact(token *string, items ...types.TransactWriteItem) error {
	_, err := t.client.TransactWriteItems(t.ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items, ClientRequestToken: token})
	return err
}

func transactionWritesAll(p *probe) {
	t := p.table()
	must(0, t.transact(nil, t.inTransaction(at("a", "1"), nil), t.inTransaction(at("b", "2"), nil)))
	require(t.get(at("a", "1")) != nil && t.get(at("b", "2")) != nil, "not both were written")
}

func transactionWritesNone(p *probe) {
	t, absent := p.table(), aws.String("attribute_not_exists(pk)")
	t.put(at("b", "2"))
	err := t.transact(nil, t.inTransaction(at("a", "1"), absent), t.inTransaction(at("b", "2"), absent))
	cancelled, ok := errors.AsType[*types.TransactionCanceledException](err)
	require(ok && len(cancelled.CancellationReasons) == 2, "got %v", err)
	require(aws.ToString(cancelled.CancellationReasons[0].Code) == "None" && aws.ToString(cancelled.CancellationReasons[1].Code) == "ConditionalCheckFailed",
		"reasons %s and %s", aws.ToString(cancelled.CancellationReasons[0].Code), aws.ToString(cancelled.CancellationReasons[1].Code))
	require(t.get(at("a", "1")) == nil, "the first item was written")
}

func transactionChecks(p *probe) {
	t := p.table()
	check := types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: &t.name, Key: at("lease", "x"), ConditionExpression: aws.String("holder = :v"), ExpressionAttributeValues: item{":v": text("me")},
	}}
	refused(t.transact(nil, check, t.inTransaction(at("a", "1"), nil)), codes("TransactionCanceledException"))
	t.put(with(at("lease", "x"), "holder", text("me")))
	must(0, t.transact(nil, check, t.inTransaction(at("a", "1"), nil)))
}

func (t *table) counting() types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &t.name, Key: at("a", "1"), UpdateExpression: aws.String("ADD n :v"), ExpressionAttributeValues: item{":v": digits("1")},
	}}
}

func transactionRepeats(p *probe) {
	t, token := p.table(), p.name("token")
	must(0, t.transact(&token, t.counting()))
	must(0, t.transact(&token, t.counting()))
	require(value(t.get(at("a", "1")), "n") == "1", "it was done %s times", value(t.get(at("a", "1")), "n"))
}

func transactionTokenConflict(p *probe) {
	t, token := p.table(), p.name("token")
	must(0, t.transact(&token, t.counting()))
	refused(t.transact(&token, t.inTransaction(at("a", "1"), nil)), codes("IdempotentParameterMismatchException"))
}

func transactionOf101(p *probe) {
	t := p.table()
	var items []types.TransactWriteItem
	for _, sk := range numbered("row-", 101) {
		items = append(items, t.inTransaction(at("a", sk), nil))
	}
	refused(t.transact(nil, items...), badRequest())
}

func transactionReads(p *probe) {
	t := p.table()
	t.put(at("a", "1"))
	get := func(sk string) types.TransactGetItem {
		return types.TransactGetItem{Get: &types.Get{TableName: &t.name, Key: at("a", sk)}}
	}
	out := must(t.client.TransactGetItems(p.ctx, &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{get("1"), get("2")}}))
	require(len(out.Responses) == 2 && value(out.Responses[0].Item, "sk") == "1" && len(out.Responses[1].Item) == 0, "read %v", out.Responses)
}

// query asks for the partition a.
func (t *table) query(change func(*dynamodb.QueryInput)) *dynamodb.QueryOutput {
	in := &dynamodb.QueryInput{
		TableName: &t.name, ConsistentRead: aws.Bool(true),
		KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: item{":pk": text("a")},
	}
	if change != nil {
		change(in)
	}
	return must(t.client.Query(t.ctx, in))
}

func queryInOrder(p *probe) {
	t := p.table()
	keys := t.fill("a", 12)
	t.fill("b", 3)
	require(slices.Equal(values(t.query(nil).Items, "sk"), keys), "got %v", values(t.query(nil).Items, "sk"))
	slices.Reverse(keys)
	back := values(t.query(func(in *dynamodb.QueryInput) { in.ScanIndexForward = aws.Bool(false) }).Items, "sk")
	require(slices.Equal(back, keys), "backwards: %v", back)
}

func queryByBeginning(p *probe) {
	t := p.table()
	t.fill("a", 5)
	t.put(at("a", "other"))
	out := t.query(func(in *dynamodb.QueryInput) {
		in.KeyConditionExpression = aws.String("pk = :pk AND begins_with(sk, :b)")
		in.ExpressionAttributeValues[":b"] = text("oth")
	})
	require(slices.Equal(values(out.Items, "sk"), []string{"other"}), "got %v", values(out.Items, "sk"))
}

func queryPages(p *probe) {
	t := p.table()
	keys := t.fill("a", 7)
	var got []string
	var from item
	for {
		out := t.query(func(in *dynamodb.QueryInput) { in.Limit, in.ExclusiveStartKey = aws.Int32(3), from })
		require(len(out.Items) <= 3, "a page of 3 has %d", len(out.Items))
		got = append(got, values(out.Items, "sk")...)
		if from = out.LastEvaluatedKey; from == nil {
			break
		}
	}
	require(slices.Equal(got, keys), "pages gave %v", got)
}

func queryFilter(p *probe) {
	t := p.table()
	t.fill("a", 6)
	out := t.query(func(in *dynamodb.QueryInput) {
		in.Limit, in.FilterExpression = aws.Int32(4), aws.String("n >= :n")
		in.ExpressionAttributeValues[":n"] = digits("3")
	})
	require(out.ScannedCount == 4 && out.Count == 1 && out.LastEvaluatedKey != nil, "scanned %d, found %d", out.ScannedCount, out.Count)
}

func scanInSegments(p *probe) {
	t := p.table()
	var keys, got []string
	for _, pk := range numbered("p-", 20) {
		t.put(at(pk, pk))
		keys = append(keys, pk)
	}
	for segment := range int32(3) {
		in := &dynamodb.ScanInput{TableName: &t.name, Segment: aws.Int32(segment), TotalSegments: aws.Int32(3), ConsistentRead: aws.Bool(true), Limit: aws.Int32(4)}
		for pages := dynamodb.NewScanPaginator(t.client, in); pages.HasMorePages(); {
			got = append(got, values(must(pages.NextPage(p.ctx)).Items, "pk")...)
		}
	}
	require(same(got, keys), "segments gave %d items of 20", len(got))
}

func pageOf1MB(p *probe) {
	t := p.table()
	for _, sk := range numbered("row-", 4) {
		t.put(with(at("a", sk), "v", large()))
	}
	out := t.query(nil)
	require(len(out.Items) < 4 && out.LastEvaluatedKey != nil, "a page has %d items of 350 KB", len(out.Items))
}
