package contract

import (
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func itemFacts() []Fact {
	return []Fact{
		{Name: "read-after-write", Sentence: "A strongly consistent read sees the write before it", Source: "Amazon DynamoDB developer guide, read consistency", check: readAfterWrite},
		{Name: "condition-fails", Sentence: "A put whose condition does not hold writes nothing and is a ConditionalCheckFailedException", Source: apiPutItem, check: conditionFails},
		{Name: "condition-gives-old", Sentence: "A failed condition gives the item that is there, if asked", Source: apiPutItem, check: conditionGivesOld},
		{Name: "condition-on-absent", Sentence: "`attribute_not_exists` of the key lets one of two puts win", Source: apiPutItem, check: conditionOnAbsent},
		{Name: "condition-compares", Sentence: "Conditions compare numbers as numbers, join with AND and OR, and know BETWEEN and IN", Source: "Amazon DynamoDB developer guide, condition expressions", check: conditionCompares},
		{Name: "update-changes-in-place", Sentence: "An update sets, adds to and removes attributes, and gives the new item", Source: apiUpdateItem, check: updateChangesInPlace},
		{Name: "update-makes", Sentence: "An update of an absent item makes it", Source: apiUpdateItem, check: updateMakes},
		{Name: "update-if-not-exists", Sentence: "`if_not_exists` keeps a value that is there", Source: apiUpdateItem, check: updateIfNotExists},
		{Name: "update-of-key", Sentence: "An update cannot change the key", Source: apiUpdateItem, check: updateOfKey},
		{Name: "delete-on-condition", Sentence: "A delete on a condition that does not hold deletes nothing", Source: "Amazon DynamoDB API reference, DeleteItem", check: deleteOnCondition},
		{Name: "delete-absent", Sentence: "Deleting an absent item succeeds", Source: "Amazon DynamoDB API reference, DeleteItem", check: deleteAbsent},
		{Name: "number-of-38-digits", Sentence: "A number keeps 38 digits", Source: dynamoTypes, check: numberOf38Digits},
		{Name: "number-of-39-digits", Sentence: "A number of more than 38 digits is refused", Source: dynamoTypes, check: numberOf39Digits},
		{Name: "item-of-400-kb", Sentence: "An item larger than 400 KB is refused", Source: dynamoQuotas, check: itemOf400KB},
		{Name: "key-missing", Sentence: "An item without its key is a ValidationException", Source: apiPutItem, check: keyMissing},
		{Name: "key-of-other-type", Sentence: "A key of another type than the table's is a ValidationException", Source: apiPutItem, check: keyOfOtherType},
		{Name: "key-empty", Sentence: "An empty key is a ValidationException", Source: apiPutItem, check: keyEmpty},
		{Name: "expression-of-unknown-value", Sentence: "An expression that names a value which is not given is a ValidationException", Source: "Amazon DynamoDB developer guide, expression attribute values", check: expressionOfUnknownValue},
	}
}

func conditionFailed() []string { return codes("ConditionalCheckFailedException") }

func badRequest() []string { return codes("ValidationException") }

func readAfterWrite(p *probe) {
	t := p.table()
	for _, v := range []string{"1", "2", "3"} {
		t.put(with(at("a", "b"), "v", text(v)))
		require(value(t.get(at("a", "b")), "v") == v, "read %q after writing %q", value(t.get(at("a", "b")), "v"), v)
	}
}

func conditionFails(p *probe) {
	t := p.table()
	t.put(with(at("a", "b"), "v", text("old")))
	refused(t.putIf(with(at("a", "b"), "v", text("new")), "v = :v", text("other")), conditionFailed())
	require(value(t.get(at("a", "b")), "v") == "old", "it was written all the same")
	must(0, t.putIf(with(at("a", "b"), "v", text("new")), "v = :v", text("old")))
}

func conditionGivesOld(p *probe) {
	t := p.table()
	t.put(with(at("a", "b"), "v", text("old")))
	err := t.putIf(with(at("a", "b"), "v", text("new")), "attribute_not_exists(pk)", nil)
	failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	require(ok && value(failed.Item, "v") == "old", "got %v", err)
}

func conditionOnAbsent(p *probe) {
	t := p.table()
	outcomes := make(chan error, 2)
	for range 2 {
		go func() { outcomes <- t.putIf(at("a", "b"), "attribute_not_exists(pk)", nil) }()
	}
	first, second := <-outcomes, <-outcomes
	if first != nil {
		first, second = second, first
	}
	must(0, first)
	refused(second, conditionFailed())
}

func conditionCompares(p *probe) {
	t := p.table()
	t.put(with(at("a", "b"), "n", digits("9")))
	for condition, v := range map[string]string{
		"n < :v": "10", "n BETWEEN :v AND :v": "9.0", "n IN (:v)": "9", "attribute_exists(n) AND (n = :v OR n > :v)": "8.5", "NOT n <> :v": "9e0",
	} {
		must(0, t.putIf(with(at("a", "b"), "n", digits("9")), condition, digits(v)))
	}
}

// update changes an item and gives the new one.
func (t *table) update(key item, expression string, values item) (item, error) {
	out, err := t.client.UpdateItem(t.ctx, &dynamodb.UpdateItemInput{
		TableName: &t.name, Key: key, UpdateExpression: &expression, ExpressionAttributeValues: values, ReturnValues: types.ReturnValueAllNew,
	})
	if err != nil {
		return nil, err
	}
	return out.Attributes, nil
}

func updateChangesInPlace(p *probe) {
	t := p.table()
	t.put(with(with(with(at("a", "b"), "n", digits("1")), "gone", text("x")), "stays", text("y")))
	after := must(t.update(at("a", "b"), "SET s = :s ADD n :n REMOVE gone", item{":s": text("set"), ":n": digits("41")}))
	require(value(after, "s") == "set" && value(after, "n") == "42" && value(after, "stays") == "y" && after["gone"] == nil, "the new item is %v", after)
}

func updateMakes(p *probe) {
	t := p.table()
	must(t.update(at("a", "b"), "ADD n :n", item{":n": digits("5")}))
	require(value(t.get(at("a", "b")), "n") == "5", "the item is %v", t.get(at("a", "b")))
}

func updateIfNotExists(p *probe) {
	t := p.table()
	const expression = "SET made = if_not_exists(made, :now)"
	must(t.update(at("a", "b"), expression, item{":now": digits("1")}))
	after := must(t.update(at("a", "b"), expression, item{":now": digits("2")}))
	require(value(after, "made") == "1", "the value is %s", value(after, "made"))
}

func updateOfKey(p *probe) {
	_, err := p.table().update(at("a", "b"), "SET sk = :v", item{":v": text("c")})
	refused(err, badRequest())
}

func deleteOnCondition(p *probe) {
	t := p.table()
	t.put(with(at("a", "b"), "v", text("1")))
	_, err := t.client.DeleteItem(p.ctx, &dynamodb.DeleteItemInput{
		TableName: &t.name, Key: at("a", "b"), ConditionExpression: aws.String("v = :v"), ExpressionAttributeValues: item{":v": text("2")},
	})
	refused(err, conditionFailed())
	require(t.get(at("a", "b")) != nil, "it was deleted all the same")
}

func deleteAbsent(p *probe) {
	t := p.table()
	must(t.client.DeleteItem(p.ctx, &dynamodb.DeleteItemInput{TableName: &t.name, Key: at("a", "none")}))
}

func numberOf38Digits(p *probe) {
	t, n := p.table(), strings.Repeat("1234567890", 4)[:38]
	t.put(with(at("a", "b"), "n", digits(n)))
	require(value(t.get(at("a", "b")), "n") == n, "it is %s", value(t.get(at("a", "b")), "n"))
}

// tryPut gives the error of a put.
func (t *table) tryPut(i item) error {
	_, err := t.client.PutItem(t.ctx, &dynamodb.PutItemInput{TableName: &t.name, Item: i})
	return err
}

func numberOf39Digits(p *probe) {
	refused(p.table().tryPut(with(at("a", "b"), "n", digits(strings.Repeat("1234567890", 4)[:39]))), badRequest())
}

func itemOf400KB(p *probe) {
	t := p.table()
	t.put(with(at("a", "b"), "v", text(strings.Repeat("x", 409_000))))
	refused(t.tryPut(with(at("a", "b"), "v", text(strings.Repeat("x", 409_600)))), badRequest())
}

func keyMissing(p *probe) { refused(p.table().tryPut(item{"pk": text("a")}), badRequest()) }

func keyOfOtherType(p *probe) {
	refused(p.table().tryPut(item{"pk": text("a"), "sk": digits("1")}), badRequest())
}

func keyEmpty(p *probe) { refused(p.table().tryPut(at("a", "")), badRequest()) }

func expressionOfUnknownValue(p *probe) {
	refused(p.table().putIf(at("a", "b"), "v = :nobody", text("x")), badRequest())
}
