package expression

import (
	"strings"

	"spate/sandbox/dynamodb/attribute"
)

// maxBytes is the longest expression (Amazon DynamoDB developer guide, "Quotas"). It also bounds the parser's recursion.
const maxBytes = 4096

type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // attribute name, keyword or function
	tokenName             // #name
	tokenValue            // :value
	tokenNumber           // a list index
	tokenSymbol           // one of ( ) [ ] , . = <> < <= > >= + -
)

type token struct {
	kind tokenKind
	text string
}

// is says whether t is the given symbol, or the given keyword in any case.
func (t token) is(text string) bool {
	return t.kind == tokenSymbol && t.text == text || t.kind == tokenWord && strings.EqualFold(t.text, text)
}

// lex cuts an expression into tokens; the last is always a tokenEnd.
func lex(text string) ([]token, error) {
	if strings.TrimSpace(text) == "" {
		return nil, attribute.Invalid("The expression can not be empty;")
	}
	if len(text) > maxBytes {
		return nil, attribute.Invalid("Expression size has exceeded the maximum allowed size; expression size: %d", len(text))
	}
	var tokens []token
	for rest := text; ; {
		rest = strings.TrimLeft(rest, " \t\r\n")
		if rest == "" {
			return append(tokens, token{kind: tokenEnd, text: "<EOF>"}), nil
		}
		t := nextToken(rest)
		if t.text == "" {
			bad := []rune(rest)[:1]
			return nil, attribute.Invalid(`Syntax error; token: "%s", near: "%.20s"`, string(bad), rest)
		}
		tokens = append(tokens, t)
		rest = rest[len(t.text):]
	}
}

// nextToken returns the token that s begins with; an empty one when there is none.
func nextToken(s string) token {
	switch c := s[0]; {
	case c == '#' || c == ':':
		n := wordLength(s[1:])
		if n == 0 {
			return token{}
		}
		kind := tokenName
		if c == ':' {
			kind = tokenValue
		}
		return token{kind: kind, text: s[:n+1]}
	case c >= '0' && c <= '9':
		n := 1
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return token{kind: tokenNumber, text: s[:n]}
	}
	if n := wordLength(s); n > 0 {
		return token{kind: tokenWord, text: s[:n]}
	}
	for _, symbol := range []string{"<>", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ".", "+", "-"} {
		if strings.HasPrefix(s, symbol) {
			return token{kind: tokenSymbol, text: symbol}
		}
	}
	return token{}
}

// wordLength counts the leading letters, digits and underscores of s.
func wordLength(s string) int {
	n := 0
	for n < len(s) {
		c := s[n]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		n++
	}
	return n
}
