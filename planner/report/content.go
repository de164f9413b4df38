package report

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"spate/internal/objects"
	"spate/job"
)

// How much of files is read to say where they differ.
const (
	contentMost = 64 << 20 // bytes of each file that are compared
	jsonMost    = 8 << 20  // bytes up to which JSON is compared value by value
	lineMost    = 160      // bytes of a line that are shown
)

// Place is where two files begin to differ.
type Place struct {
	Line   int    `json:"line,omitzero"`   // of text, from 1
	Column int    `json:"column,omitzero"` // in bytes, from 1
	Offset int64  `json:"offset"`          // of the first byte that differs
	Value  string `json:"value,omitzero"`  // of JSON: which value differs, such as "tvar.p99[2]"
	Before string `json:"before,omitzero"` // the line or value of text; cut when it is long
	After  string `json:"after,omitzero"`
	Beyond bool   `json:"beyond,omitzero"` // the files are alike as far as was read: 64 MiB
}

// String is the place for people.
func (p Place) String() string {
	switch {
	case p.Beyond:
		return fmt.Sprintf("alike in the first %d MiB", contentMost>>20)
	case p.Value != "":
		return fmt.Sprintf("%s: %s, then %s", p.Value, orNothing(p.Before), orNothing(p.After))
	case p.Line > 0:
		return fmt.Sprintf("line %d, column %d: %s, then %s", p.Line, p.Column, orNothing(p.Before), orNothing(p.After))
	}
	return fmt.Sprintf("from byte %d on", p.Offset)
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// FirstDifference says where a file of one output begins to differ from the file of that name in another.
func FirstDifference(ctx context.Context, store *objects.Store, path string, before, after *job.Manifest) (Place, error) {
	first, err := openFile(ctx, store, before, path)
	if err != nil {
		return Place{}, err
	}
	defer first.Close()
	second, err := openFile(ctx, store, after, path)
	if err != nil {
		return Place{}, err
	}
	defer second.Close()
	place, err := compareContent(path, first, second)
	if err != nil {
		return Place{}, fmt.Errorf("compare file %s: %w", path, err)
	}
	return place, nil
}

func openFile(ctx context.Context, store *objects.Store, m *job.Manifest, path string) (io.ReadCloser, error) {
	i := slices.IndexFunc(m.Files, func(f job.File) bool { return f.Path == path })
	if i < 0 {
		return nil, fmt.Errorf("compare file %s: output %s has none", path, m.Key.Short())
	}
	body, _, err := store.Open(ctx, m.Object(m.Files[i]), objects.Condition{})
	if err != nil {
		return nil, fmt.Errorf("compare file %s: %w", path, err)
	}
	return body, nil
}

// compareContent finds where two files begin to differ. They do: their manifests say so.
func compareContent(path string, first, second io.Reader) (Place, error) {
	if strings.HasSuffix(path, ".json") {
		a, err := io.ReadAll(io.LimitReader(first, jsonMost))
		if err != nil {
			return Place{}, err
		}
		b, err := io.ReadAll(io.LimitReader(second, jsonMost))
		if err != nil {
			return Place{}, err
		}
		if place, ok := compareJSON(a, b); ok {
			return place, nil
		}
		first, second = io.MultiReader(bytes.NewReader(a), first), io.MultiReader(bytes.NewReader(b), second)
	}
	return compareLines(bufio.NewReaderSize(io.LimitReader(first, contentMost), 64<<10), bufio.NewReaderSize(io.LimitReader(second, contentMost), 64<<10))
}

// compareLines reads both until they differ.
func compareLines(first, second *bufio.Reader) (Place, error) {
	place := Place{Line: 1, Column: 1}
	var line []byte // what both have of the line; of a long one the end
	cut := ""
	for {
		a, endA, errA := next(first)
		b, endB, errB := next(second)
		if err := errors.Join(errA, errB); err != nil {
			return Place{}, err
		}
		if endA && endB {
			place.Beyond = true
			return place, nil
		}
		if a == b && endA == endB {
			place.Offset++
			place.Column++
			if line = append(line, a); len(line) == lineMost/2 {
				line, cut = append(line[:0], line[lineMost/4:]...), "…"
			}
			if a == '\n' {
				place.Line, place.Column, line, cut = place.Line+1, 1, line[:0], ""
			}
			continue
		}
		place.Before, place.After = restOfLine(line, a, endA, first), restOfLine(line, b, endB, second)
		if place.Before != "" {
			place.Before = cut + place.Before
		}
		if place.After != "" {
			place.After = cut + place.After
		}
		if !isText(place.Before) || !isText(place.After) {
			return Place{Offset: place.Offset}, nil
		}
		return place, nil
	}
}

// next reads a byte, or that there is none.
func next(from *bufio.Reader) (c byte, ended bool, err error) {
	c, err = from.ReadByte()
	if errors.Is(err, io.EOF) {
		return 0, true, nil
	}
	return c, false, err
}

// restOfLine is a line whose beginning and next byte have been read. A file that has ended has no more of it.
func restOfLine(begun []byte, c byte, ended bool, from *bufio.Reader) string {
	line := slices.Clone(begun)
	for !ended && c != '\n' && len(line) < lineMost {
		line = append(line, c)
		var err error
		c, ended, err = next(from)
		ended = ended || err != nil // what is shown of a line may be short
	}
	text := strings.TrimSuffix(string(line), "\r")
	if len(line) == lineMost {
		text = trimRunes(text) + "…"
	}
	return trimRunes(text)
}

// trimRunes takes the parts of characters off that cutting left at the ends of a text.
func trimRunes(text string) string {
	for i := 0; i < utf8.UTFMax && len(text) > 0 && !utf8.RuneStart(text[0]); i++ {
		text = text[1:]
	}
	for i := 0; i < utf8.UTFMax && len(text) > 0; i++ {
		if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size > 1 {
			break
		}
		text = text[:len(text)-1]
	}
	return text
}

func isText(line string) bool {
	return utf8.ValidString(line) && !strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' })
}

// compareJSON finds the first value in which two JSON texts differ, by the order of their names. It returns false when
// one is no JSON, or they differ only in how they are written.
func compareJSON(first, second []byte) (Place, bool) {
	var a, b any
	if json.Unmarshal(first, &a) != nil || json.Unmarshal(second, &b) != nil {
		return Place{}, false
	}
	path, a, b, differ := firstValue("", a, b)
	if !differ {
		return Place{}, false
	}
	offset := 0
	for offset < min(len(first), len(second)) && first[offset] == second[offset] {
		offset++
	}
	if path == "" {
		path = "the whole"
	}
	return Place{Value: path, Before: valueText(a), After: valueText(b), Offset: int64(offset)}, true
}

// absent is a value that one of two JSON texts does not have.
type absent struct{}

// firstValue walks two values down to the first leaf in which they differ.
func firstValue(path string, a, b any) (string, any, any, bool) {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			return path, a, b, true
		}
		for _, name := range namesOf(x, y) {
			below := name
			if path != "" {
				below = path + "." + name
			}
			if where, a, b, differ := firstValue(below, memberOf(x, name), memberOf(y, name)); differ {
				return where, a, b, true
			}
		}
		return "", nil, nil, false
	case []any:
		y, ok := b.([]any)
		if !ok {
			return path, a, b, true
		}
		for i := range max(len(x), len(y)) {
			if where, a, b, differ := firstValue(path+"["+strconv.Itoa(i)+"]", elementOf(x, i), elementOf(y, i)); differ {
				return where, a, b, true
			}
		}
		return "", nil, nil, false
	}
	switch b.(type) {
	case map[string]any, []any:
		return path, a, b, true
	}
	return path, a, b, a != b
}

func namesOf(a, b map[string]any) []string {
	var names []string
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, both := a[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func memberOf(object map[string]any, name string) any {
	if value, ok := object[name]; ok {
		return value
	}
	return absent{}
}

func elementOf(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return absent{}
}

func valueText(v any) string {
	if _, ok := v.(absent); ok {
		return ""
	}
	data, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(data) > lineMost {
		return strings.ToValidUTF8(string(data[:lineMost]), "") + "…"
	}
	return string(data)
}
