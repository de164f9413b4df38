package job

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of names.
const (
	MaxIDLength   = 128 // characters of a job id
	MaxNameLength = 63  // characters of a run, pool, task or submission name
	maxPathLength = 512 // bytes of a staged name or the path of an output file
)

// CheckName checks the name of a run, pool, task type, namespace or submission: lower-case letters, digits, '-' and
// '_', beginning with a letter or digit, at most 63 characters.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("name is empty")
	}
	if len(name) > MaxNameLength {
		return fmt.Errorf("name %q has %d characters, at most %d are allowed", name, len(name), MaxNameLength)
	}
	for i, c := range []byte(name) {
		if isLowerAlphanumeric(c) || i > 0 && (c == '-' || c == '_') {
			continue
		}
		return fmt.Errorf("name %q: want lower-case letters, digits, '-' and '_', beginning with a letter or digit", name)
	}
	return nil
}

// CheckID checks a job id: letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 128 characters.
func CheckID(id string) error {
	if id == "" {
		return fmt.Errorf("id is empty")
	}
	if len(id) > MaxIDLength {
		return fmt.Errorf("id %q has %d characters, at most %d are allowed", id[:20]+"…", len(id), MaxIDLength)
	}
	for i, c := range []byte(id) {
		if isLowerAlphanumeric(c) || c >= 'A' && c <= 'Z' || i > 0 && (c == '-' || c == '_' || c == '.') {
			continue
		}
		return fmt.Errorf("id %q: want letters, digits, '.', '_' and '-', beginning with a letter or digit", id)
	}
	return nil
}

// CheckPath checks a staged name or the path of an output file: a relative slash-separated path without empty, "." or
// ".." elements, control characters or backslashes, in valid UTF-8.
func CheckPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("name is empty")
	case len(path) > maxPathLength:
		return fmt.Errorf("name %q… has %d bytes, at most %d are allowed", path[:20], len(path), maxPathLength)
	case !utf8.ValidString(path):
		return fmt.Errorf("name %q is not valid UTF-8", path)
	case strings.HasPrefix(path, "/"):
		return fmt.Errorf("name %q is absolute: want one relative to the job's directory", path)
	}
	for _, r := range path {
		if r < 0x20 || r == 0x7f || r == '\\' {
			return fmt.Errorf("name %q has a control character or backslash", path)
		}
	}
	for element := range strings.SplitSeq(path, "/") {
		switch element {
		case "":
			return fmt.Errorf("name %q has an empty element", path)
		case ".", "..":
			return fmt.Errorf("name %q leaves its directory with %q", path, element)
		}
	}
	return nil
}

func isLowerAlphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
