package job

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxYAMLBytes is the size up to which a run file may be YAML, some 20,000 jobs: the time to parse some YAML grows with
// the square of its size. Beyond it jobs belong in a file of JSON lines, or the run file is written as JSON.
const MaxYAMLBytes = 1 << 20

// toJSON returns a run file as JSON, so that one decoder serves YAML and JSON, and a function that says where in the
// file an offset of the JSON came from. It returns nil when errors leave nothing to read.
func toJSON(file string, data []byte, errs *Errors) (jsontext.Value, func(int64) position) {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	lines := indexLines(data)
	report := func(at position, message string) (jsontext.Value, func(int64) position) {
		errs.Add(&Error{File: file, Line: at.line, Column: at.column, Message: message})
		return nil, nil
	}
	if i := invalidUTF8(data); i >= 0 {
		return report(lines.locate(int64(i)), fmt.Sprintf("byte 0x%02x is not UTF-8: save the file as UTF-8", data[i]))
	}
	if isJSON(file, data) {
		return data, lines.locate
	}
	if len(data) > MaxYAMLBytes {
		return report(position{line: 1}, fmt.Sprintf(
			"file has %d bytes, %d are allowed of YAML: put the jobs into a file of JSON lines and name it with jobs_from",
			len(data), MaxYAMLBytes))
	}
	return yamlToJSON(file, lines, errs)
}

// isJSON reports whether the file is to be read as JSON. YAML in flow style begins alike.
func isJSON(file string, data []byte) bool {
	if strings.HasSuffix(file, ".json") {
		return len(bytes.TrimSpace(data)) > 0
	}
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) &&
		jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true))
}

// invalidUTF8 is the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; ; {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

// lineIndex finds lines and columns in a text.
type lineIndex struct {
	data   []byte
	starts []int // offset of each line
}

func indexLines(data []byte) *lineIndex {
	x := &lineIndex{data: data, starts: []int{0}}
	for i, c := range data {
		if c == '\n' {
			x.starts = append(x.starts, i+1)
		}
	}
	return x
}

// locate says where an offset lies.
func (x *lineIndex) locate(offset int64) position {
	line := sort.Search(len(x.starts), func(i int) bool { return int64(x.starts[i]) > offset })
	return position{line, int(offset) - x.starts[line-1] + 1}
}

// inBytes turns a column counted in characters, as the YAML parser does, into one counted in bytes.
func (x *lineIndex) inBytes(at position) position {
	if at.line < 1 || at.line > len(x.starts) {
		return at
	}
	rest := x.data[x.starts[at.line-1]:]
	column := 1
	for range at.column - 1 {
		_, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		column += max(size, 1)
	}
	return position{at.line, column}
}
