package awsclient

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Class is what an error of an AWS service means for whoever called.
type Class string

// The classes. ECS's own words for them are in its API reference under RunTask and in "Amazon ECS API failure reasons".
const (
	ClassNone          Class = ""              // no error
	ClassThrottled     Class = "throttled"     // slow down and send the identical request again
	ClassCapacity      Class = "capacity"      // no room there now: other subnets, another provider, later
	ClassQuota         Class = "quota"         // the account's limit: stop growing
	ClassConfiguration Class = "configuration" // will not work until somebody changes something
	ClassTransient     Class = "transient"     // the service failed; whether it did the work is unknown
	ClassConflict      Class = "conflict"      // a token was used for another request
	ClassUnknown       Class = "unknown"       // not in the table: treated as transient, counted by its code
)

// Ambiguous reports whether the request may have had its effect although it failed.
func (c Class) Ambiguous() bool { return c == ClassTransient || c == ClassUnknown }

// Classify sorts an error of a call. It looks at the code and, where a code means several things, at the text.
func Classify(err error) Class {
	if err == nil {
		return ClassNone
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		if class := classifyCode(api.ErrorCode(), api.ErrorMessage()); class != ClassUnknown {
			return class
		}
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() >= 500 {
		return ClassTransient
	}
	if errors.As(err, &api) {
		return ClassUnknown
	}
	if errors.Is(err, context.Canceled) {
		return ClassTransient
	}
	// No answer that could be understood: timeouts, resets, refused connections.
	return ClassTransient
}

// ClassifyFailure sorts the reason of a failure inside a successful RunTask answer.
func ClassifyFailure(reason string) Class {
	text := plain(reason)
	switch {
	case strings.Contains(text, "capacity is unavailable"), strings.Contains(text, "not enough free addresses"),
		strings.Contains(text, "insufficient free addresses"), strings.HasPrefix(text, "resource:"), strings.Contains(text, "insufficient capacity"):
		return ClassCapacity
	case strings.Contains(text, "reached the limit on the number of"):
		return ClassQuota
	case strings.Contains(text, "throttl"), strings.Contains(text, "rate exceeded"):
		return ClassThrottled
	}
	return ClassUnknown
}

func classifyCode(code, message string) Class {
	text := plain(message)
	switch code {
	case "ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException",
		"ProvisionedThroughputExceededException", "RequestThrottled", "SlowDown":
		return ClassThrottled
	case "InvalidParameterException", "ClientException":
		if strings.Contains(text, "throttl") || strings.Contains(text, "requestlimitexceeded") || strings.Contains(text, "rate exceeded") {
			return ClassThrottled
		}
		if class := ClassifyFailure(message); class != ClassUnknown {
			return class
		}
		return ClassConfiguration
	case "AccessDeniedException", "BlockedException", "ClusterNotFoundException", "PlatformUnknownException",
		"PlatformTaskDefinitionIncompatibilityException", "UnsupportedFeatureException", "UnrecognizedClientException",
		"InvalidSignatureException", "ValidationException", "UnknownOperationException":
		return ClassConfiguration
	case "ConflictException":
		return ClassConflict
	case "ServerException", "InternalServerError", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout":
		return ClassTransient
	}
	if class := ClassifyFailure(message); class != ClassUnknown {
		return class
	}
	return ClassUnknown
}

// plain lowers the case and straightens typographic apostrophes, which ECS's texts sometimes have.
func plain(text string) string {
	return strings.ToLower(strings.ReplaceAll(text, "’", "'"))
}

// Code is the service's own error code, or "" when the error carries none.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
