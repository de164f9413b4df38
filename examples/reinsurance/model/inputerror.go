package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"spate/examples/reinsurance/sheet"
)

// An InputError says what is wrong with a parameter or an input table, and where: File is its name as staged. Running the
// task again on the same input gives the same error.
type InputError = sheet.InputError

const paramsFile = "params.json"

// decodeParams reads one JSON object strictly: unknown fields and anything after the object are errors.
func decodeParams(content []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		line, column := position(content, errorOffset(err, content, decoder.InputOffset()))
		return &InputError{File: paramsFile, Line: line, Column: column, Reason: strings.TrimPrefix(err.Error(), "json: ")}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		line, column := position(content, decoder.InputOffset())
		return &InputError{File: paramsFile, Line: line, Column: column, Reason: "more than one JSON value"}
	}
	return nil
}

// errorOffset returns where the error is: just behind the byte at fault.
func errorOffset(err error, content []byte, otherwise int64) int64 {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return syntax.Offset
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return kind.Offset
	}
	// The decoder names an unknown field without saying where it is.
	if _, field, ok := strings.Cut(err.Error(), "unknown field "); ok {
		if at := bytes.Index(content, []byte(field)); at >= 0 {
			return int64(at) + 1
		}
	}
	return otherwise
}

// position turns an offset just behind a byte into that byte's line and column.
func position(content []byte, offset int64) (line, column int) {
	before := content[:min(max(offset-1, 0), int64(len(content)))]
	line = bytes.Count(before, []byte{'\n'}) + 1
	column = len(before) - bytes.LastIndexByte(before, '\n')
	return line, column
}

func badParam(format string, args ...any) error {
	return &InputError{File: paramsFile, Reason: fmt.Sprintf(format, args...)}
}

// reasonOf returns an error's reason without its position.
func reasonOf(err error) string {
	if bad, ok := errors.AsType[*InputError](err); ok {
		return bad.Reason
	}
	return err.Error()
}
