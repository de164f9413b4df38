package dynamodb

import (
	"encoding/json"
	"errors"

	jsonv2 "github.com/go-json-experiment/json"

	"spate/sandbox/awsjson"
	"spate/sandbox/dynamodb/attribute"
)

// namespace qualifies the service's exceptions on the wire.
const namespace = "com.amazonaws.dynamodb.v20120810#"

// fault is an exception of the service.
func fault(code, format string, args ...any) *awsjson.Error {
	return awsjson.Errorf(namespace+code, format, args...)
}

func errNoTable() error { return fault("ResourceNotFoundException", "Requested resource not found") }

func errConditionFailed(old attribute.Item) error {
	f := fault("ConditionalCheckFailedException", "The conditional request failed")
	if old != nil {
		f.Fields = map[string]any{"Item": old}
	}
	return f
}

// classify turns what went wrong into what the client sees: values and expressions that are invalid become ValidationExceptions.
func classify(err error) error {
	if invalid, ok := errors.AsType[*attribute.ValidationError](err); ok {
		return awsjson.Errorf("com.amazon.coral.validate#ValidationException", "%s", invalid.Message)
	}
	return err
}

// decode reads a request.
func decode[In any](body []byte) (In, error) {
	var in In
	if err := jsonv2.Unmarshal(body, &in); err != nil {
		if _, ok := errors.AsType[*attribute.ValidationError](err); ok {
			return in, err
		}
		return in, awsjson.Errorf("com.amazon.coral.service#SerializationException", "%v", err)
	}
	if r, ok := any(in).(refuser); ok {
		return in, r.refuse()
	}
	return in, nil
}

// refuser is a request that may carry members which the sandbox does not serve.
type refuser interface{ refuse() error }

// unserved are request members that the sandbox refuses rather than ignores.
type unserved struct {
	AttributesToGet     json.RawMessage
	AttributeUpdates    json.RawMessage
	ConditionalOperator json.RawMessage
	Expected            json.RawMessage
	IndexName           json.RawMessage
	KeyConditions       json.RawMessage
	QueryFilter         json.RawMessage
	ScanFilter          json.RawMessage
}

func (u unserved) refuse() error {
	for name, member := range map[string]json.RawMessage{
		"AttributesToGet": u.AttributesToGet, "AttributeUpdates": u.AttributeUpdates, "ConditionalOperator": u.ConditionalOperator,
		"Expected": u.Expected, "KeyConditions": u.KeyConditions, "QueryFilter": u.QueryFilter, "ScanFilter": u.ScanFilter,
	} {
		if present(member) {
			return attribute.Invalid("the sandbox does not serve the legacy parameter %s: use expressions", name)
		}
	}
	if present(u.IndexName) {
		return attribute.Invalid("the sandbox has no secondary indexes: IndexName %s", u.IndexName)
	}
	return nil
}

func present(member json.RawMessage) bool { return len(member) > 0 && string(member) != "null" }

// outOfRange is the service's answer to a value beyond its bounds.
func outOfRange(value any, member, constraint string) error {
	return attribute.Invalid("1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: %s", value, member, constraint)
}
