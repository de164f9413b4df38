package expression

import (
	"spate/sandbox/dynamodb/attribute"
)

// KeyTest is one test of a KeyConditionExpression: Attribute Operator Operands.
type KeyTest struct {
	// Attribute is the key attribute's name.
	Attribute string
	// Operator is =, <, <=, >, >=, BETWEEN or begins_with.
	Operator string
	// Operands are one value; two, low and high, for BETWEEN.
	Operands []attribute.Value
}

// ParseKeyCondition parses a KeyConditionExpression into one or two tests of different attributes, joined by AND.
func ParseKeyCondition(text string, bindings *Bindings) ([]KeyTest, error) {
	return parse("KeyConditionExpression", text, bindings, func(p *parser) ([]KeyTest, error) {
		root, err := p.disjunction()
		if err != nil {
			return nil, err
		}
		tests, err := keyTests(root)
		if err != nil {
			return nil, err
		}
		if len(tests) > 2 || len(tests) == 2 && tests[0].Attribute == tests[1].Attribute {
			return nil, attribute.Invalid("KeyConditionExpressions must only contain one condition per key")
		}
		return tests, nil
	})
}

func keyTests(n node) ([]KeyTest, error) {
	switch n := n.(type) {
	case conjunction:
		left, err := keyTests(n.left)
		if err != nil {
			return nil, err
		}
		right, err := keyTests(n.right)
		return append(left, right...), err
	case comparison:
		if n.operator == "<>" {
			return nil, badKeyOperator("<>")
		}
		return keyTest(n.operator, n.left, n.right)
	case between:
		return keyTest("BETWEEN", n.of, n.low, n.high)
	case predicate:
		if n.name != "begins_with" {
			return nil, badKeyOperator(n.name)
		}
		return keyTest(n.name, n.args[0], n.args[1])
	case disjunction:
		return nil, badKeyOperator("OR")
	case negation:
		return nil, badKeyOperator("NOT")
	default:
		return nil, badKeyOperator("IN")
	}
}

func badKeyOperator(name string) error {
	return attribute.Invalid("Invalid operator used in KeyConditionExpression: %s", name)
}

// keyTest turns "attribute operator values" into a KeyTest; "value operator attribute" is turned round first.
func keyTest(operator string, of operand, values ...operand) ([]KeyTest, error) {
	if _, isLiteral := of.(literal); isLiteral && len(values) == 1 && operator != "begins_with" {
		turned := map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
		of, values, operator = values[0], []operand{of}, turned[operator]
	}
	path, ok := of.(Path)
	if !ok {
		return nil, attribute.Invalid("Invalid operand in KeyConditionExpression; operator: %s", operator)
	}
	if len(path) > 1 {
		return nil, attribute.Invalid("KeyConditionExpressions cannot have conditions on nested attributes")
	}
	test := KeyTest{Attribute: path[0].Name, Operator: operator}
	for _, o := range values {
		l, ok := o.(literal)
		if !ok {
			return nil, attribute.Invalid("No value provided for the key condition; operator: %s", operator)
		}
		test.Operands = append(test.Operands, l.Value)
	}
	return []KeyTest{test}, nil
}
