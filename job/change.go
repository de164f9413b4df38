package job

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Change sets one parameter of one job, as in "deal-00017.limit=5e6": a job's id, a path into its parameters, and a value.
// Which part of the path is the id is known only beside the jobs: see [NewOverlay].
type Change struct {
	Text  string         // as it was written
	Value jsontext.Value // what the parameter becomes

	path   []string // the id and the names below it, cut at dots; elements of lists are counted from 0
	quoted bool     // the first element was in quotes: it is the whole id
}

// ParseChange reads JOB.PARAM=VALUE. PARAM may lead further down, as in a.b.c, and count in lists, as in
// layers.0.limit. An id or name that holds a dot or an equals sign can stand in quotes, as a JSON string does. VALUE is
// JSON; what is none is text, so that text needs no quotes.
func ParseChange(text string) (Change, error) {
	if !utf8.ValidString(text) {
		return Change{}, fmt.Errorf("change %q is not UTF-8", clip(text))
	}
	c := Change{Text: text, quoted: strings.HasPrefix(text, `"`)}
	rest := text
	for {
		name, after, err := cutName(rest)
		if err != nil {
			return Change{}, fmt.Errorf("change %q: %w", clip(text), err)
		}
		c.path = append(c.path, name)
		if strings.HasPrefix(after, "=") {
			rest = after[1:]
			break
		}
		rest = after[1:]
	}
	if len(c.path) < 2 {
		return Change{}, fmt.Errorf("change %q names no parameter: want JOB.PARAM=VALUE", clip(text))
	}
	var err error
	if c.Value, err = changeValue(rest); err != nil {
		return Change{}, fmt.Errorf("change %q: %w", clip(text), err)
	}
	return c, nil
}

// cutName cuts the first name off a path. What is left begins with '.' or '='.
func cutName(path string) (name, rest string, err error) {
	if strings.HasPrefix(path, `"`) {
		dec := jsontext.NewDecoder(strings.NewReader(path))
		token, err := dec.ReadToken()
		if err != nil {
			return "", "", fmt.Errorf("%q is no string in quotes", clip(path))
		}
		name, rest = token.String(), path[dec.InputOffset():]
		if rest == "" || rest[0] != '.' && rest[0] != '=' {
			return "", "", fmt.Errorf("want '.' or '=' behind %q, have %q", clip(name), clip(rest))
		}
		return name, rest, nil
	}
	i := strings.IndexAny(path, `.="`)
	switch {
	case i < 0:
		return "", "", fmt.Errorf("it has no '=': want JOB.PARAM=VALUE")
	case i == 0 && path[0] != '"':
		return "", "", fmt.Errorf("a name is empty: want JOB.PARAM=VALUE")
	case path[i] == '"':
		return "", "", fmt.Errorf("quotes stand inside a name: put them around all of it")
	}
	return path[:i], path[i:], nil
}

// changeValue reads a value: JSON, or else text. What begins as JSON only can begin must be JSON.
func changeValue(text string) (jsontext.Value, error) {
	value := jsontext.Value(strings.TrimSpace(text))
	if !value.IsValid() {
		if len(value) > 0 && strings.IndexByte(`{["`, value[0]) >= 0 {
			return nil, fmt.Errorf("%q is no valid JSON: text that begins like it must stand in quotes", clip(text))
		}
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return nil, fmt.Errorf("quote %q: %w", clip(text), err)
		}
		return quoted, nil
	}
	errs := &Errors{}
	d := newDecoder("", value, errs, func(int64) position { return position{} })
	d.checkParams(value, 0)
	if errs.Len() > 0 {
		return nil, fmt.Errorf("%s", errs.List[0].Message)
	}
	return plainInteger(value), nil
}

// plainInteger writes 5e6 as 5000000: the same number to JSON, but a program may read it into an integer.
func plainInteger(value jsontext.Value) jsontext.Value {
	if value.Kind() != '0' || !strings.ContainsAny(string(value), "eE") {
		return value
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f != float64(int64(f)) || checkNumber(strconv.FormatInt(int64(f), 10)) != "" {
		return value
	}
	return strconv.AppendInt(nil, int64(f), 10)
}

// ids are the job ids that the path may begin with, the longest first.
func (c Change) ids() []string {
	if c.quoted {
		return c.path[:1]
	}
	var ids []string
	for n := len(c.path) - 1; n > 0; n-- {
		if id := strings.Join(c.path[:n], "."); CheckID(id) == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// below is the path below a job id that it begins with.
func (c Change) below(id string) []string {
	if c.quoted {
		return c.path[1:]
	}
	return c.path[strings.Count(id, ".")+1:]
}
