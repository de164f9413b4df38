package expression

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"spate/sandbox/dynamodb/attribute"
)

// maxIndex bounds list indexes, as no item could hold a longer list.
const maxIndex = 1 << 20

// parser walks the tokens of one expression by recursive descent.
type parser struct {
	tokens   []token
	at       int
	bindings *Bindings
	paths    []Path // every path read, for checks over the whole expression

	groupOpen, groupClose int // the tokens of the last parenthesis closed, to find redundant ones
}

// parse runs one grammar rule over a whole expression and names the clause in its errors.
func parse[T any](clause, text string, bindings *Bindings, rule func(*parser) (T, error)) (T, error) {
	var zero T
	bindings.parsed++
	tokens, err := lex(text)
	if err == nil {
		p := &parser{tokens: tokens, bindings: bindings, groupOpen: -1, groupClose: -1}
		var result T
		if result, err = rule(p); err == nil && p.peek().kind != tokenEnd {
			err = p.unexpected()
		}
		if err == nil {
			return result, nil
		}
	}
	if invalid, ok := errors.AsType[*attribute.ValidationError](err); ok {
		return zero, attribute.Invalid("Invalid %s: %s", clause, invalid.Message)
	}
	return zero, err
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// accept consumes the symbol or keyword if it comes next.
func (p *parser) accept(text string) bool {
	if !p.peek().is(text) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(text string) error {
	if !p.accept(text) {
		return p.unexpected()
	}
	return nil
}

// unexpected is the syntax error at the next token, with its neighbours.
func (p *parser) unexpected() error {
	var near []string
	for _, t := range p.tokens[max(p.at-1, 0):min(p.at+2, len(p.tokens))] {
		if t.kind != tokenEnd {
			near = append(near, t.text)
		}
	}
	return attribute.Invalid(`Syntax error; token: "%s", near: "%s"`, p.peek().text, strings.Join(near, " "))
}

// path reads a document path: a name, then .name and [index] steps.
func (p *parser) path() (Path, error) {
	step, err := p.nameStep()
	if err != nil {
		return nil, err
	}
	path := Path{step}
	for {
		switch {
		case p.accept("."):
			step, err = p.nameStep()
		case p.accept("["):
			step, err = p.indexStep()
		default:
			p.paths = append(p.paths, path)
			return path, nil
		}
		if err != nil {
			return nil, err
		}
		path = append(path, step)
	}
}

func (p *parser) nameStep() (Step, error) {
	switch t := p.peek(); t.kind {
	case tokenName:
		p.at++
		name, err := p.bindings.name(t.text)
		return Step{Name: name}, err
	case tokenWord:
		p.at++
		return Step{Name: t.text}, nil
	case tokenEnd, tokenValue, tokenNumber, tokenSymbol:
	}
	return Step{}, p.unexpected()
}

func (p *parser) indexStep() (Step, error) {
	t := p.peek()
	if t.kind != tokenNumber {
		return Step{}, p.unexpected()
	}
	index, err := strconv.Atoi(t.text)
	if err != nil || index > maxIndex {
		return Step{}, attribute.Invalid("List index is not within the allowable range; index: [%s]", t.text)
	}
	p.at++
	return Step{Index: index, IsIndex: true}, p.expect("]")
}

// operand reads a path, a :value, or a function call that yields a value.
func (p *parser) operand(functions ...string) (operand, error) {
	t := p.peek()
	if t.kind == tokenValue {
		p.at++
		v, err := p.bindings.value(t.text)
		return literal{v}, err
	}
	if t.kind == tokenWord && p.tokens[p.at+1].is("(") {
		return p.call(functions)
	}
	return p.path()
}

// call reads a function call and checks the number and kinds of its arguments.
func (p *parser) call(allowed []string) (operand, error) {
	name := p.next().text
	arity, known := functionArity(name)
	if !known {
		return nil, attribute.Invalid("Invalid function name; function: %s", name)
	}
	if !slices.Contains(allowed, name) {
		return nil, attribute.Invalid("The function is not allowed to be used this way in an expression; function: %s", name)
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	nested := []string{}
	if name == "if_not_exists" || name == "list_append" {
		nested = []string{"if_not_exists", "list_append"}
	}
	if name == "contains" || name == "begins_with" {
		nested = []string{"size"}
	}
	var args []operand
	for {
		arg, err := p.operand(nested...)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		if !p.accept(",") {
			break
		}
	}
	if err := p.expect(")"); err != nil {
		return nil, err
	}
	if len(args) != arity {
		return nil, attribute.Invalid("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", name, len(args))
	}
	call := function{name: name, args: args}
	return call, call.check()
}
