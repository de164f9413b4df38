package expression_test

import (
	"errors"
	"testing"

	"spate/sandbox/dynamodb/attribute"
	"spate/sandbox/dynamodb/expression"
)

// checkInvalid fails the test for an error that is no ValidationError.
func checkInvalid(t *testing.T, text string, err error) {
	t.Helper()
	if _, ok := errors.AsType[*attribute.ValidationError](err); err != nil && !ok {
		t.Errorf("%q: %v is no ValidationError", text, err)
	}
}

func FuzzCondition(f *testing.F) {
	for _, text := range []string{
		"n = :two", "NOT (a.b[0] <> :a AND #n IN (:one, size(x)))", "n BETWEEN :one AND :two OR contains(s, :a)",
		"attribute_type(s, :S)", "((n))", "a[", "#", ":", "NOT NOT NOT", "size(size(n)) = n", "\xff",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		condition, err := expression.ParseCondition("ConditionExpression", text, bind(t))
		checkInvalid(t, text, err)
		if err == nil {
			_, err = condition.Matches(parseItem(t, subject))
			checkInvalid(t, text, err)
		}
		tests, err := expression.ParseKeyCondition(text, bind(t))
		checkInvalid(t, text, err)
		if err == nil && (len(tests) < 1 || len(tests) > 2) {
			t.Errorf("%q: %d key tests", text, len(tests))
		}
	})
}

func FuzzUpdate(f *testing.F) {
	for _, text := range []string{
		"SET n = n + :one, m.k = :a REMOVE l[0], l[2] ADD x :two DELETE ss :ss", "SET l[9] = list_append(l, :list)",
		"SET x = if_not_exists(m.k, if_not_exists(x, :one)) - n", "ADD m.x :ns", "REMOVE", "SET",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		update, err := expression.ParseUpdate(text, bind(t))
		checkInvalid(t, text, err)
		if err != nil {
			return
		}
		item := parseItem(t, subject)
		_, err = update.Apply(item)
		checkInvalid(t, text, err)
		if !attribute.Equal(item, parseItem(t, subject)) {
			t.Errorf("%q changed the item it was given", text)
		}
	})
}

func FuzzProjection(f *testing.F) {
	for _, text := range []string{"n, m.k, l[2][0]", "l[0], l[1]", "a..b", "m, m.k", "#dotted.x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		projection, err := expression.ParseProjection(text, bind(t))
		checkInvalid(t, text, err)
		if err == nil {
			projection.Apply(parseItem(t, subject))
		}
	})
}
