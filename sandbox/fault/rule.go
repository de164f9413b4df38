package fault

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is what happens to a call.
type Kind string

// The kinds of Rule.
const (
	// Reject refuses the call with Code, Status and Message; the service does not see it.
	Reject Kind = "reject"
	// Throttle is Reject with the service's own error for too many calls.
	Throttle Kind = "throttle"
	// Delay holds the call back for Rule.Delay, then serves it.
	Delay Kind = "delay"
	// Drop serves the call and closes the connection without an answer.
	Drop Kind = "drop"
	// Partial serves a part of the call and refuses the rest, in the service's own way: RunTask's failures, SQS's Failed
	// entries, DynamoDB's UnprocessedItems and UnprocessedKeys.
	Partial Kind = "partial"
	// Duplicate delivers what the call causes twice: a message received, a notification, a state-change event.
	Duplicate Kind = "duplicate"
	// Kill ends the tasks that RunTask launches, Rule.Delay after they run, as when a machine dies (exit code 137).
	Kill Kind = "kill"
)

func kinds() []Kind { return []Kind{Reject, Throttle, Delay, Drop, Partial, Duplicate, Kill} }

// The services that rules and calls name.
const (
	ECS      = "ecs"
	SQS      = "sqs"
	DynamoDB = "dynamodb"
	Streams  = "streams" // DynamoDB Streams
	S3       = "s3"
)

// Services lists them.
func Services() []string { return []string{ECS, SQS, DynamoDB, Streams, S3} }

// Duration is a time.Duration that JSON writes as "1.5s".
type Duration time.Duration

// MarshalText writes what ParseDuration reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Rule is one fault. Service and Kind are required.
type Rule struct {
	ID string `json:"id,omitempty"` // made when empty

	// Which calls: of a service, of an operation as AWS names it ("RunTask", "PutObject"; empty: all), whose path or body
	// contains Match (a queue's or table's name, an object's key; empty: all).
	Service   string `json:"service"`
	Operation string `json:"operation,omitempty"`
	Match     string `json:"match,omitempty"`

	// How many of them: none of the first After, at most Count (0: no limit), each with Probability (0 or absent: 1).
	After       int     `json:"after,omitempty"`
	Count       int     `json:"count,omitempty"`
	Probability float64 `json:"probability,omitempty"`
	Seed        uint64  `json:"seed,omitempty"` // 0: made of the injector's

	// What happens.
	Kind    Kind     `json:"kind"`
	Delay   Duration `json:"delay,omitempty"`   // of Delay and Kill
	Code    string   `json:"code,omitempty"`    // of Reject; of Partial the reason, where the service has one
	Message string   `json:"message,omitempty"` // of Reject and Throttle
	Status  int      `json:"status,omitempty"`  // of Reject: HTTP status, 400 to 599
	Share   float64  `json:"share,omitempty"`   // of Partial: of the entries that are refused, above 0 to 1; absent: a half
}

// ParseRule reads a rule from JSON. It refuses members that it does not know.
func ParseRule(data []byte) (Rule, error) {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	var r Rule
	if err := decoder.Decode(&r); err != nil {
		return Rule{}, fmt.Errorf("parse fault: %w", err)
	}
	if decoder.More() {
		return Rule{}, fmt.Errorf("parse fault: there is more after the object")
	}
	if err := r.validate(); err != nil {
		return Rule{}, fmt.Errorf("parse fault: %w", err)
	}
	return r, nil
}

func (r Rule) validate() error {
	switch {
	case !slices.Contains(Services(), r.Service):
		return fmt.Errorf("service %q: want one of %s", r.Service, strings.Join(Services(), ", "))
	case !slices.Contains(kinds(), r.Kind):
		return fmt.Errorf("kind %q: want one of %v", r.Kind, kinds())
	case r.Probability < 0 || r.Probability > 1:
		return fmt.Errorf("probability %v: want 0 to 1", r.Probability)
	case r.After < 0 || r.Count < 0:
		return fmt.Errorf("after and count must not be negative")
	case r.Delay < 0:
		return fmt.Errorf("delay %s is negative", time.Duration(r.Delay))
	case r.Kind == Delay && r.Delay == 0:
		return fmt.Errorf("a delay needs its length, such as \"delay\": \"5s\"")
	case r.Status != 0 && (r.Status < 400 || r.Status > 599):
		return fmt.Errorf("status %d: want 400 to 599", r.Status)
	case r.Share < 0 || r.Share > 1:
		return fmt.Errorf("share %v: want above 0 to 1", r.Share)
	case r.Kind == Kill && r.Service != ECS:
		return fmt.Errorf("only tasks can be killed: want service %q", ECS)
	case r.Kind == Partial && r.Service == S3, r.Kind == Partial && r.Service == Streams:
		return fmt.Errorf("%s answers no call in part", r.Service)
	case r.Kind == Duplicate && (r.Service == DynamoDB || r.Service == Streams):
		return fmt.Errorf("%s delivers nothing twice", r.Service)
	}
	return nil
}

// wants says whether the rule is about a call.
func (r Rule) wants(c Call) bool {
	return r.Service == c.Service && (r.Operation == "" || r.Operation == c.Operation) &&
		(r.Match == "" || strings.Contains(c.Path, r.Match) || strings.Contains(string(c.Body), r.Match))
}

// Call is one request as rules see it.
type Call struct {
	Service, Operation string
	Path               string
	Body               []byte
}
