package sandbox

import (
	"net/http"
	"strings"

	"spate/sandbox/awsjson"
	"spate/sandbox/dynamodb"
	"spate/sandbox/ecs"
	"spate/sandbox/fault"
	"spate/sandbox/s3"
	"spate/sandbox/sqs"
)

// The errors of faults that name none, as the services' API references give them.
const (
	json10 = "application/x-amz-json-1.0"
	json11 = "application/x-amz-json-1.1"
)

func ecsFaults() fault.Service {
	return jsonService(fault.ECS, json11,
		fault.Refusal{Status: http.StatusBadRequest, Code: "ThrottlingException", Message: "Rate exceeded"},
		fault.Refusal{Status: http.StatusInternalServerError, Code: "ServerException", Message: "Service Unavailable. Please try again later."})
}

func sqsFaults() fault.Service {
	return jsonService(fault.SQS, json10,
		fault.Refusal{Status: http.StatusForbidden, Code: "RequestThrottled", Message: "Request is throttled."},
		fault.Refusal{Status: http.StatusInternalServerError, Code: "InternalFailure", Message: "We encountered an internal error. Please try again."})
}

func dynamoFaults(name string) fault.Service {
	return jsonService(name, json10,
		fault.Refusal{
			Status: http.StatusBadRequest, Code: "ProvisionedThroughputExceededException",
			Message: "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.",
		},
		fault.Refusal{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: "Internal server error"})
}

func s3Faults(server *s3.Server) fault.Service {
	return fault.Service{
		Name: fault.S3, Operation: s3.Operation, KeepBody: true,
		Refuse: func(w http.ResponseWriter, r *http.Request, e fault.Refusal) {
			server.Refuse(w, r, e.Status, e.Code, e.Message)
		},
		Throttled: fault.Refusal{Status: http.StatusServiceUnavailable, Code: "SlowDown", Message: "Please reduce your request rate."},
		Failed:    fault.Refusal{Status: http.StatusInternalServerError, Code: "InternalError", Message: "We encountered an internal error. Please try again."},
	}
}

// jsonService is a service of one of the JSON protocols.
func jsonService(name, contentType string, throttled, failed fault.Refusal) fault.Service {
	return fault.Service{
		Name: name,
		Operation: func(r *http.Request) string {
			target := r.Header.Get("X-Amz-Target")
			return target[strings.LastIndexByte(target, '.')+1:]
		},
		Refuse: func(w http.ResponseWriter, r *http.Request, e fault.Refusal) {
			awsjson.Refuse(w, r, contentType, &awsjson.Error{Status: e.Status, Code: e.Code, Message: e.Message})
		},
		Throttled: throttled, Failed: failed,
	}
}

// services are the handlers by the part of X-Amz-Target before the operation, with the faults around them.
func (s *Sandbox) services(queues *sqs.Server) map[string]http.Handler {
	return map[string]http.Handler{
		ecs.Target:            s.faults.Wrap(ecsFaults(), s.ecs),
		sqs.Target:            s.faults.Wrap(sqsFaults(), queues),
		dynamodb.TablePrefix:  s.faults.Wrap(dynamoFaults(fault.DynamoDB), s.tables),
		dynamodb.StreamPrefix: s.faults.Wrap(dynamoFaults(fault.Streams), s.tables),
	}
}

// Operations are the names of all operations that are served, by service as faults name it.
func (s *Sandbox) Operations() map[string][]string {
	return map[string][]string{
		fault.ECS: s.ecs.Operations(), fault.SQS: s.queues.Operations(), fault.S3: s3.Operations(),
		fault.DynamoDB: s.tables.Operations(), fault.Streams: s.tables.StreamOperations(),
	}
}
