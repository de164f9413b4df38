package expression_test

import (
	"errors"
	"strings"
	"testing"

	"spate/sandbox/dynamodb/attribute"
	"spate/sandbox/dynamodb/expression"
)

func TestUpdates(t *testing.T) {
	const before = `{"n":{"N":"2"}, "m":{"M":{"k":{"S":"abc"}}}, "l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"N":"3"}]},
		"ss":{"SS":["a","b"]}, "ns":{"NS":["1","2"]}}`
	for text, want := range map[string]string{ // want lists what differs; null means gone
		"SET n = :one":                                         `{"n":{"N":"1"}}`,
		"SET #n = n + :one":                                    `{"n":{"N":"3"}}`,
		"SET n = n - :three":                                   `{"n":{"N":"-1"}}`,
		"SET x = n, n = :one":                                  `{"n":{"N":"1"},"x":{"N":"2"}}`, // operands see the item as it was
		"SET x = if_not_exists(x, :one) + :two":                `{"x":{"N":"3"}}`,
		"SET x = if_not_exists(n, :one)":                       `{"x":{"N":"2"}}`,
		"SET l = list_append(l, :list)":                        `{"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"N":"3"},{"N":"1"}]}}`,
		"SET x = list_append(if_not_exists(x, :empty), :list)": `{"x":{"L":[{"N":"1"}]}}`,
		"SET m.x = :one":                                       `{"m":{"M":{"k":{"S":"abc"},"x":{"N":"1"}}}}`,
		"SET l[1] = :a":                                        `{"l":{"L":[{"N":"0"},{"S":"a"},{"N":"2"},{"N":"3"}]}}`,
		"SET l[50] = :a":                                       `{"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"N":"3"},{"S":"a"}]}}`,
		"REMOVE n, m.k, nothing":                               `{"n":null,"m":{"M":{}}}`,
		"REMOVE l[0], l[2], l[9]":                              `{"l":{"L":[{"N":"1"},{"N":"3"}]}}`, // indexes mean the list as it was
		"ADD n :one, x :two":                                   `{"n":{"N":"3"},"x":{"N":"2"}}`,
		"ADD ss :ss, ns :ns":                                   `{"ss":{"SS":["a","b","z"]},"ns":{"NS":["1","2","5"]}}`,
		"DELETE ss :ss":                                        `{"ss":{"SS":["b"]}}`,
		"DELETE ns :ns SET n = :one REMOVE m":                  `{"ns":{"NS":["2"]},"n":{"N":"1"},"m":null}`,
		"set n = :one remove l":                                `{"n":{"N":"1"},"l":null}`,
	} {
		update, err := expression.ParseUpdate(text, bind(t))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		item, expected := parseItem(t, before), parseItem(t, before)
		for name, v := range parseChanges(t, want) {
			if v == nil {
				delete(expected, name)
			} else {
				expected[name] = v
			}
		}
		got, err := update.Apply(item)
		if err != nil || !attribute.Equal(got, expected) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, expected)
		}
		if !attribute.Equal(item, parseItem(t, before)) {
			t.Errorf("%s changed the item it was given: %v", text, item)
		}
	}
}

// parseChanges reads an item in which null means gone.
func parseChanges(t testing.TB, text string) attribute.Item {
	t.Helper()
	item := parseItem(t, strings.ReplaceAll(text, "null", `{"NULL":true}`))
	for name, v := range item {
		if v == (attribute.Null{}) {
			item[name] = nil
		}
	}
	return item
}

func TestRemovalsOfNestedListsUseTheIndexesAsTheyWere(t *testing.T) {
	update, err := expression.ParseUpdate("REMOVE l[0], l[1].x, l[2]", bind(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := update.Apply(parseItem(t, `{"l":{"L":[{"N":"0"},{"M":{"x":{"N":"1"},"y":{"N":"2"}}},{"N":"3"}]}}`))
	if want := parseItem(t, `{"l":{"L":[{"M":{"y":{"N":"2"}}}]}}`); err != nil || !attribute.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestAnEmptiedSetIsRemoved(t *testing.T) {
	update, err := expression.ParseUpdate("DELETE ss :ss", bind(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := update.Apply(parseItem(t, `{"ss":{"SS":["a"]}}`))
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v; want an empty item", got, err)
	}
}

func TestUpdatesThatDoNotFitTheItemAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"SET x = missing":           "The provided expression refers to an attribute that does not exist in the item",
		"SET n = missing + :one":    "The provided expression refers to an attribute that does not exist in the item",
		"SET n = s + :one":          "An operand in the update expression has an incorrect data type",
		"SET missing.x = :one":      "The document path provided in the update expression is invalid for update",
		"SET n.x = :one":            "The document path provided in the update expression is invalid for update",
		"SET m[0] = :one":           "The document path provided in the update expression is invalid for update",
		"REMOVE missing.x":          "The document path provided in the update expression is invalid for update",
		"ADD s :one":                "An operand in the update expression has an incorrect data type",
		"DELETE ns :ss":             "An operand in the update expression has an incorrect data type",
		"SET l = list_append(l, s)": "An operand in the update expression has an incorrect data type",
	} {
		update, err := expression.ParseUpdate(text, bind(t))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		_, err = update.Apply(parseItem(t, subject))
		if err == nil || err.Error() != want {
			t.Errorf("%s: error is %v, want %s", text, err, want)
		}
	}
}

func TestUpdateErrorsAreInTheServicesWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "Invalid UpdateExpression: The expression can not be empty;",
		"n = :one":                     `Invalid UpdateExpression: Syntax error; token: "n", near: "n ="`,
		"SET n = :one SET x = :a":      `Invalid UpdateExpression: The "SET" section can only be used once in an update expression;`,
		"SET n = :one, n = :two":       "Two document paths overlap with each other",
		"SET m = :one REMOVE m.k":      "Two document paths overlap with each other",
		"SET x.a = :one, x[0] = n":     "Two document paths conflict with each other",
		"ADD n :a":                     "Incorrect operand type for operator or function; operator or function: ADD, operand type: S",
		"DELETE n :one":                "Incorrect operand type for operator or function; operator or function: DELETE, operand type: N",
		"SET n = n + :a":               "Incorrect operand type for operator or function; operator or function: +, operand type: S",
		"SET n = list_append(l, :one)": "Incorrect operand type for operator or function; operator or function: list_append, operand type: N",
		"SET n = size(l)":              "The function is not allowed to be used this way in an expression; function: size",
		"SET n = :one + :two + n":      `Syntax error; token: "+"`,
		"REMOVE":                       `Syntax error; token: "<EOF>", near: "REMOVE"`,
	} {
		_, err := expression.ParseUpdate(text, bind(t))
		invalid, ok := errors.AsType[*attribute.ValidationError](err)
		if !ok || !strings.Contains(invalid.Message, want) {
			t.Errorf("%s: error is %v, want %s", text, err, want)
		}
	}
}
