package expression_test

import (
	"errors"
	"strings"
	"testing"

	"spate/sandbox/dynamodb/attribute"
	"spate/sandbox/dynamodb/expression"
)

// parseItem reads an item from its JSON.
func parseItem(t testing.TB, text string) attribute.Item {
	t.Helper()
	var item attribute.Item
	if err := item.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return item
}

func bind(t testing.TB) *expression.Bindings {
	t.Helper()
	b, err := expression.NewBindings(map[string]string{"#n": "n", "#dotted": "a.b", "#unused": "x"}, parseItem(t, `{
		":one":{"N":"1"}, ":two":{"N":"2.00"}, ":three":{"N":"3"}, ":a":{"S":"a"}, ":abc":{"S":"abc"}, ":b":{"B":"YWI="},
		":S":{"S":"S"}, ":bad":{"S":"STRING"}, ":list":{"L":[{"N":"1"}]}, ":map":{"M":{}}, ":ss":{"SS":["a","z"]}, ":ns":{"NS":["1","5"]},
		":yes":{"BOOL":true}, ":null":{"NULL":true}, ":empty":{"L":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const subject = `{"n":{"N":"2"}, "s":{"S":"abcdef"}, "b":{"B":"YWJj"}, "yes":{"BOOL":true}, "null":{"NULL":true},
	"l":{"L":[{"N":"1"},{"S":"x"},{"L":[{"N":"7"}]}]}, "m":{"M":{"k":{"S":"abc"}}}, "a.b":{"N":"1"},
	"ss":{"SS":["a","b"]}, "ns":{"NS":["1","2"]}, "käse":{"S":"äöü"}}`

func TestConditions(t *testing.T) {
	for text, want := range map[string]bool{
		"n = :two":                         true, // 2 is 2.00
		"#n = :two":                        true,
		"#dotted = :one":                   true, // a name with a dot is one name
		"n <> :one":                        true,
		"n = :a":                           false,
		"n <> :a":                          true, // other types are unequal
		"missing = :a":                     false,
		"missing <> :a":                    true,
		"missing < :one":                   false,
		"n < :three AND n > :one":          true,
		"n <= :two AND n >= :two":          true,
		":two = n":                         true,
		"n BETWEEN :one AND :three":        true,
		"n BETWEEN :three AND :three":      false,
		"s BETWEEN :a AND :abc":            false,
		"n IN (:one, :two)":                true,
		"n IN (:one)":                      false,
		"NOT n = :one":                     true,
		"NOT (n = :one OR n = :two)":       false,
		"n = :one OR n = :two AND s = :a":  false, // AND binds tighter
		"(n = :one OR n = :two) AND n = n": true,
		"attribute_exists(m.k)":            true,
		"attribute_exists(m.x)":            false,
		"attribute_exists(l[2][0])":        true,
		"attribute_not_exists(l[3])":       true,
		"attribute_type(s, :S)":            true,
		"attribute_type(n, :S)":            false,
		"begins_with(s, :abc)":             true,
		"begins_with(b, :b)":               true,
		"begins_with(n, :abc)":             false,
		"contains(s, :abc)":                true,
		"contains(ss, :a)":                 true,
		"contains(ns, :two)":               true,
		"contains(l, :one)":                true,
		"contains(l, :two)":                false,
		"size(s) > :three":                 true,
		"size(l) = :three":                 true,
		"size(ss) = :two":                  true,
		"size(missing) = :two":             false,
		"yes = :yes and null = :null":      true, // keywords in any case
		"m = :map":                         false,
		"l[0]=:one":                        true,
	} {
		b := bind(t)
		condition, err := expression.ParseCondition("ConditionExpression", text, b)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := condition.Matches(parseItem(t, subject))
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestConditionsOverNoItem(t *testing.T) {
	for text, want := range map[string]bool{
		"attribute_not_exists(n)":           true,
		"attribute_exists(n)":               false,
		"attribute_not_exists(n) OR n < :a": true,
		"n <> :one":                         true,
	} {
		condition, err := expression.ParseCondition("ConditionExpression", text, bind(t))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := condition.Matches(nil); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestConditionErrorsAreInTheServicesWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "Invalid ConditionExpression: The expression can not be empty;",
		"n = ":                        `Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "="`,
		"n = = :one":                  `Invalid ConditionExpression: Syntax error; token: "=", near: "= = :one"`,
		"n = :one n":                  `Syntax error; token: "n", near: ":one n"`,
		"n ? :one":                    `Syntax error; token: "?"`,
		"n = :nothing":                "An expression attribute value used in expression is not defined; attribute value: :nothing",
		"#nothing = :one":             "An expression attribute name used in the document path is not defined; attribute name: #nothing",
		"exists(n)":                   "Invalid function name; function: exists",
		"size(n)":                     `Syntax error; token: "<EOF>"`,
		"begins_with(n)":              "Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 1",
		"begins_with(s, :one)":        "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
		"attribute_type(s, :bad)":     "Invalid attribute type name found; type: STRING",
		"attribute_exists(:one)":      "Operator or function requires a document path; operator or function: attribute_exists",
		"n < :map":                    "Incorrect operand type for operator or function; operator or function: <, operand type: M",
		"n BETWEEN :two AND :one":     "The BETWEEN operator requires upper bound to be greater than or equal to lower bound",
		"n BETWEEN :a AND :one":       "The BETWEEN operator requires same data type for lower and upper bounds",
		"((n = :one))":                "The expression has redundant parentheses;",
		"if_not_exists(n, :one) = n":  "The function is not allowed to be used this way in an expression; function: if_not_exists",
		"l[x] = :one":                 `Syntax error; token: "x"`,
		"l[99999999999999999999] = n": "List index is not within the allowable range",
		"n = :one" + strings.Repeat(" OR n = :one", 400): "Expression size has exceeded the maximum allowed size",
	} {
		_, err := expression.ParseCondition("ConditionExpression", text, bind(t))
		invalid, ok := errors.AsType[*attribute.ValidationError](err)
		if !ok || !strings.Contains(invalid.Message, want) {
			t.Errorf("%.40s: error is %v, want %s", text, err, want)
		}
	}
}

func TestUnusedBindingsAreNamedInOrder(t *testing.T) {
	b, err := expression.NewBindings(nil, parseItem(t, `{":b":{"N":"1"}, ":a":{"N":"1"}, ":used":{"N":"1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := expression.ParseCondition("FilterExpression", "x = :used", b); err != nil {
		t.Fatal(err)
	}
	want := "Value provided in ExpressionAttributeValues unused in expressions: keys: {:a, :b}"
	if err := b.Unused(); err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

func TestImproperBindingsAreRefused(t *testing.T) {
	for name, row := range map[string]struct {
		names  map[string]string
		values attribute.Item
		want   string
	}{
		"empty names":  {map[string]string{}, nil, "ExpressionAttributeNames must not be empty"},
		"empty values": {nil, attribute.Item{}, "ExpressionAttributeValues must not be empty"},
		"bare name":    {map[string]string{"n": "n"}, nil, `ExpressionAttributeNames contains invalid key: Syntax error; key: "n"`},
		"bare value":   {nil, attribute.Item{":": attribute.Null{}}, `ExpressionAttributeValues contains invalid key: Syntax error; key: ":"`},
	} {
		if _, err := expression.NewBindings(row.names, row.values); err == nil || err.Error() != row.want {
			t.Errorf("%s: error is %v, want %s", name, err, row.want)
		}
	}
}

func TestProjectionTakesPathsAndClosesUpLists(t *testing.T) {
	projection, err := expression.ParseProjection("m.k, l[2], l[0], #dotted, missing, s.nothing", bind(t))
	if err != nil {
		t.Fatal(err)
	}
	want := parseItem(t, `{"m":{"M":{"k":{"S":"abc"}}}, "l":{"L":[{"N":"1"},{"L":[{"N":"7"}]}]}, "a.b":{"N":"1"}}`)
	if got := projection.Apply(parseItem(t, subject)); !attribute.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	_, err = expression.ParseProjection("m, m.k", bind(t))
	if err == nil || !strings.Contains(err.Error(), "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m], path two: [m, k]") {
		t.Errorf("overlapping paths: %v", err)
	}
}
