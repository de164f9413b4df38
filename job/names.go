package job

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names.
const (
	MaxIDLength   = 128 // characters of a job id
	MaxNameLength = 63  // characters of a run, pool, task or submission name

	maxPathLength    = 512 // bytes of a staged name or the path of an output file
	maxElementLength = 255 // bytes between two slashes: what Linux file systems take
)

// CheckName checks the name of a run, pool, task type, namespace or submission: lower-case letters, digits, '-' and
// '_', beginning with a letter or digit, at most 63 characters.
func CheckName(name string) error {
	if name == "" {
		return fmt.Errorf("name is empty")
	}
	for i, c := range []byte(name) {
		if isLowerAlphanumeric(c) || i > 0 && (c == '-' || c == '_') {
			continue
		}
		return fmt.Errorf("name %q: want lower-case letters, digits, '-' and '_', beginning with a letter or digit", clip(name))
	}
	if len(name) > MaxNameLength {
		return fmt.Errorf("name %q has %d characters, at most %d are allowed", clip(name), len(name), MaxNameLength)
	}
	return nil
}

// CheckID checks a job id: letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 128 characters.
func CheckID(id string) error {
	if id == "" {
		return fmt.Errorf("id is empty")
	}
	for i, c := range []byte(id) {
		if isLowerAlphanumeric(c) || c >= 'A' && c <= 'Z' || i > 0 && (c == '-' || c == '_' || c == '.') {
			continue
		}
		return fmt.Errorf("id %q: want letters, digits, '.', '_' and '-', beginning with a letter or digit", clip(id))
	}
	if len(id) > MaxIDLength {
		return fmt.Errorf("id %q has %d characters, at most %d are allowed", clip(id), len(id), MaxIDLength)
	}
	return nil
}

// CheckPath checks a staged name or the path of an output file: a relative slash-separated path in valid UTF-8 without
// empty, "." or ".." elements, control characters or backslashes, of at most 512 bytes, 255 between slashes.
func CheckPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("name is empty")
	case len(path) > maxPathLength:
		return fmt.Errorf("name %q has %d bytes, at most %d are allowed", clip(path), len(path), maxPathLength)
	case !utf8.ValidString(path):
		return fmt.Errorf("name %q is not valid UTF-8", clip(path))
	case strings.HasPrefix(path, "/"):
		return fmt.Errorf("name %q is absolute: want one relative to the job's directory", clip(path))
	}
	for _, r := range path {
		if unicode.IsControl(r) || r == '\\' {
			return fmt.Errorf("name %q has a control character or backslash", clip(path))
		}
	}
	for element := range strings.SplitSeq(path, "/") {
		switch {
		case element == "":
			return fmt.Errorf("name %q has an empty element", clip(path))
		case element == "." || element == "..":
			return fmt.Errorf("name %q has an element %q", clip(path), element)
		case len(element) > maxElementLength:
			return fmt.Errorf("name %q has an element of %d bytes, at most %d are allowed", clip(path), len(element), maxElementLength)
		}
	}
	return nil
}

func isLowerAlphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// clip shortens what an error quotes.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
