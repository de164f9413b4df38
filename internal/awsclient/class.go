package awsclient

import (
	"errors"
	"net/http"

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

// Classify sorts an error of a call. It looks at the code, where a code means several things at the text ([ClassifyFailure]),
// and then at the status.
func Classify(err error) Class {
	if err == nil {
		return ClassNone
	}
	if _, ok := errors.AsType[smithy.InvalidParamsError](err); ok {
		return ClassConfiguration // the SDK refused to send it
	}
	api, answered := errors.AsType[smithy.APIError](err)
	if answered {
		if class := classifyCode(api.ErrorCode(), api.ErrorMessage()); class != ClassUnknown {
			return class
		}
	}
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		switch status := response.HTTPStatusCode(); {
		case status >= http.StatusInternalServerError:
			return ClassTransient
		case status == http.StatusTooManyRequests:
			return ClassThrottled
		}
	}
	if answered {
		return ClassifyFailure(api.ErrorMessage())
	}
	// No answer that could be understood: timeouts, resets, refused connections, a context that ended.
	return ClassTransient
}

func classifyCode(code, message string) Class {
	switch code {
	case "ThrottlingException", "Throttling", "ThrottledException", "RequestThrottledException", "RequestThrottled",
		"EC2ThrottledException", "RequestLimitExceeded", "TooManyRequestsException", "ProvisionedThroughputExceededException", "SlowDown":
		return ClassThrottled
	case "LimitExceededException":
		return ClassQuota
	case "InvalidParameterException", "ClientException":
		if class := ClassifyFailure(message); class != ClassUnknown {
			return class
		}
		return ClassConfiguration
	case "AccessDeniedException", "BlockedException", "ClusterNotFoundException", "PlatformUnknownException",
		"PlatformTaskDefinitionIncompatibilityException", "UnsupportedFeatureException", "UnrecognizedClientException",
		"InvalidSignatureException", "ValidationException", "UnknownOperationException",
		"ExpiredTokenException", "InvalidClientTokenId", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"IncompleteSignature", "OptInRequired", "SubscriptionRequiredException", "RequestExpired":
		return ClassConfiguration
	case "ConflictException":
		return ClassConflict
	case "ServerException", "InternalServerError", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout":
		return ClassTransient
	}
	return ClassUnknown
}

// Code is the service's own error code, or "" when the error carries none.
func Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}
