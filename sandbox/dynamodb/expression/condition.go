package expression

import (
	"spate/sandbox/dynamodb/attribute"
)

// Condition is a parsed condition or filter expression.
type Condition struct {
	root  node
	paths []Path
}

// ParseCondition parses a ConditionExpression or FilterExpression; clause is that name, for messages.
func ParseCondition(clause, text string, bindings *Bindings) (*Condition, error) {
	return parse(clause, text, bindings, func(p *parser) (*Condition, error) {
		root, err := p.disjunction()
		return &Condition{root: root, paths: p.paths}, err
	})
}

// Matches evaluates the condition over an item; nil stands for an item that does not exist.
func (c *Condition) Matches(item attribute.Item) (bool, error) { return c.root.holds(item) }

// Mentions says whether a path of the condition begins with the attribute.
func (c *Condition) Mentions(name string) bool {
	for _, path := range c.paths {
		if path[0].Name == name {
			return true
		}
	}
	return false
}

// node is a part of a condition that holds or does not.
type node interface {
	holds(item attribute.Item) (bool, error)
}

type (
	conjunction struct{ left, right node }
	disjunction struct{ left, right node }
	negation    struct{ of node }
	comparison  struct {
		operator    string
		left, right operand
	}
	between    struct{ of, low, high operand }
	membership struct {
		of   operand
		list []operand
	}
	predicate struct{ function }
)

func (p *parser) disjunction() (node, error) {
	left, err := p.conjunction()
	for err == nil && p.accept("OR") {
		var right node
		right, err = p.conjunction()
		left = disjunction{left, right}
	}
	return left, err
}

func (p *parser) conjunction() (node, error) {
	left, err := p.negation()
	for err == nil && p.accept("AND") {
		var right node
		right, err = p.negation()
		left = conjunction{left, right}
	}
	return left, err
}

func (p *parser) negation() (node, error) {
	if p.accept("NOT") {
		of, err := p.negation()
		return negation{of}, err
	}
	if p.peek().is("(") {
		return p.group()
	}
	return p.test()
}

// group reads a condition in parentheses; a second pair right inside the first is refused, as the service does.
func (p *parser) group() (node, error) {
	opened := p.at
	p.at++
	inner, err := p.disjunction()
	if err != nil {
		return nil, err
	}
	closed := p.at
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if p.groupOpen == opened+1 && p.groupClose == closed-1 {
		return nil, attribute.Invalid("The expression has redundant parentheses;")
	}
	p.groupOpen, p.groupClose = opened, closed
	return inner, nil
}

// test reads a comparison, BETWEEN, IN, or a function that answers yes or no.
func (p *parser) test() (node, error) {
	left, err := p.operand("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size")
	if err != nil {
		return nil, err
	}
	if call, ok := left.(function); ok && call.name != "size" {
		return predicate{call}, nil
	}
	operator := p.peek()
	switch {
	case p.accept("BETWEEN"):
		return p.between(left)
	case p.accept("IN"):
		return p.membership(left)
	case p.accept("="), p.accept("<>"):
	case p.accept("<"), p.accept("<="), p.accept(">"), p.accept(">="):
		if err := orderable(operator.text, left); err != nil {
			return nil, err
		}
	default:
		return nil, p.unexpected()
	}
	right, err := p.operand("size")
	if err != nil {
		return nil, err
	}
	if operator.text != "=" && operator.text != "<>" {
		err = orderable(operator.text, right)
	}
	return comparison{operator: operator.text, left: left, right: right}, err
}

// orderable refuses literals that have no order.
func orderable(operator string, o operand) error {
	l, ok := o.(literal)
	if !ok {
		return nil
	}
	if _, ordered := attribute.Compare(l.Value, l.Value); !ordered {
		return badOperand(operator, l.Kind())
	}
	return nil
}

func (p *parser) between(of operand) (node, error) {
	low, err := p.operand("size")
	if err != nil {
		return nil, err
	}
	if err := p.expect("AND"); err != nil {
		return nil, err
	}
	high, err := p.operand("size")
	if err != nil {
		return nil, err
	}
	for _, o := range []operand{of, low, high} {
		if err := orderable("BETWEEN", o); err != nil {
			return nil, err
		}
	}
	if l, ok := low.(literal); ok {
		if h, ok := high.(literal); ok {
			if order, same := attribute.Compare(l.Value, h.Value); same && order > 0 {
				return nil, attribute.Invalid("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s", describe(l.Value), describe(h.Value))
			} else if !same {
				return nil, attribute.Invalid("The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s", describe(l.Value), describe(h.Value))
			}
		}
	}
	return between{of: of, low: low, high: high}, nil
}

// describe writes a string, number or binary value as the service does in messages: {S:text}.
func describe(v attribute.Value) string {
	switch v := v.(type) {
	case attribute.String:
		return "{S:" + string(v) + "}"
	case attribute.Number:
		return "{N:" + v.String() + "}"
	}
	return "{" + string(v.Kind()) + "}"
}

func (p *parser) membership(of operand) (node, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var list []operand
	for {
		member, err := p.operand("size")
		if err != nil {
			return nil, err
		}
		list = append(list, member)
		if !p.accept(",") {
			break
		}
	}
	if len(list) > 100 {
		return nil, attribute.Invalid("Invalid number of operands for operator or function; operator or function: IN, number of operands: %d", len(list))
	}
	return membership{of: of, list: list}, p.expect(")")
}

func (n conjunction) holds(item attribute.Item) (bool, error) {
	if ok, err := n.left.holds(item); !ok || err != nil {
		return false, err
	}
	return n.right.holds(item)
}

func (n disjunction) holds(item attribute.Item) (bool, error) {
	if ok, err := n.left.holds(item); ok || err != nil {
		return ok, err
	}
	return n.right.holds(item)
}

func (n negation) holds(item attribute.Item) (bool, error) {
	ok, err := n.of.holds(item)
	return !ok && err == nil, err
}

func (n predicate) holds(item attribute.Item) (bool, error) {
	v, err := n.value(item)
	ok, _ := v.(attribute.Bool)
	return bool(ok), err
}

func (n comparison) holds(item attribute.Item) (bool, error) {
	left, err := n.left.value(item)
	if err != nil {
		return false, err
	}
	right, err := n.right.value(item)
	if err != nil {
		return false, err
	}
	return compare(n.operator, left, right), nil
}

func (n between) holds(item attribute.Item) (bool, error) {
	for _, half := range []comparison{{">=", n.of, n.low}, {"<=", n.of, n.high}} {
		if ok, err := half.holds(item); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (n membership) holds(item attribute.Item) (bool, error) {
	for _, member := range n.list {
		if ok, err := (comparison{"=", n.of, member}).holds(item); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// compare applies an operator. A missing operand equals nothing; values of different types are unequal and have no order.
func compare(operator string, left, right attribute.Value) bool {
	switch operator {
	case "=":
		return left != nil && right != nil && attribute.Equal(left, right)
	case "<>":
		return left == nil || right == nil || !attribute.Equal(left, right)
	}
	order, ok := attribute.Compare(left, right)
	if !ok {
		return false
	}
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}
