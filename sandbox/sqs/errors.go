package sqs

import (
	"fmt"

	"spate/sandbox/awsjson"
)

// fault makes a client error with its code in both protocols: shape is the name
// of the JSON protocol, query that of the older query protocol, which SDKs
// report.
func refusal(shape, query, format string, args ...any) error {
	return &awsjson.Error{
		Code: "com.amazonaws.sqs#" + shape, QueryCode: query, Message: fmt.Sprintf(format, args...),
	}
}

func errNoQueue() error {
	return refusal("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
}

func errInvalid(format string, args ...any) error {
	return refusal("InvalidParameterValueException", "InvalidParameterValue", format, args...)
}

func errMissing(parameter string) error {
	return refusal("MissingRequiredParameterException", "MissingParameter",
		"The request must contain the parameter %s.", parameter)
}

func errAttribute(name string) error {
	return refusal("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute %s.", name)
}

func errHandle(handle string) error {
	return refusal("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.", handle)
}

func errNotInFlight() error {
	return refusal("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", "The message referred to is not in flight.")
}

func errUnavailable() error {
	return errInvalid("Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.")
}

func errTooLong(limit int) error {
	return errInvalid("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", limit)
}
