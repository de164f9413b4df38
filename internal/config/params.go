package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ParamsError is one way in which a job's params do not fit their task's schema.
type ParamsError struct {
	// Pointer is the JSON pointer (RFC 6901) of the offending value; empty for params as a whole.
	Pointer string
	// Message says what the schema wants there.
	Message string
}

// Error gives the pointer and the message: "/layers/0/limit: minimum: got 0, want 1".
func (e *ParamsError) Error() string {
	if e.Pointer == "" {
		return e.Message
	}
	return e.Pointer + ": " + e.Message
}

// CheckParams validates a job's params, a JSON document, against the task's params schema. The error joins a [*ParamsError] for
// every violation; a task without a schema takes any JSON object.
func (t Task) CheckParams(params []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(params))
	if err != nil {
		return &ParamsError{Message: fmt.Sprintf("not a JSON document: %s", err)}
	}
	if _, ok := value.(map[string]any); !ok {
		return &ParamsError{Message: "must be a JSON object"}
	}
	if t.params == nil {
		return nil
	}
	err = t.params.Validate(value)
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		var errs []error
		for _, violation := range violations(invalid) {
			errs = append(errs, violation)
		}
		return errors.Join(errs...)
	}
	return err
}

// violations are the leaves of a validation's tree of errors, in the order of their pointers.
func violations(invalid *jsonschema.ValidationError) []*ParamsError {
	var list []*ParamsError
	if len(invalid.Causes) == 0 {
		leaf := invalid.BasicOutput()
		list = append(list, &ParamsError{Pointer: leaf.InstanceLocation, Message: leaf.Error.String()})
	}
	for _, cause := range invalid.Causes {
		list = append(list, violations(cause)...)
	}
	slices.SortFunc(list, func(a, b *ParamsError) int {
		return cmp.Or(cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Message, b.Message))
	})
	return list
}

// compileParams makes a schema of a JSON document. It may refer to parts of itself, not to other documents.
func compileParams(path string, data []byte) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	const url = "schema:params"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseLoader(jsonschema.SchemeURLLoader{})
	if err := compiler.AddResource(url, document); err != nil {
		return nil, fmt.Errorf("add schema %s: %w", path, err)
	}
	schema, err := compiler.Compile(url)
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		err = invalid.Err
	}
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return nil, violations(invalid)[0]
	}
	return schema, err
}
