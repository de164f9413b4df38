package s3

import (
	"net/http"
	"strings"
)

// Operation names a request as the S3 API reference does, such as "PutObject".
func Operation(r *http.Request) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	isBucket := key == ""
	switch {
	case query.Has("notification"):
		return map[bool]string{true: "PutBucketNotificationConfiguration", false: "GetBucketNotificationConfiguration"}[r.Method == http.MethodPut]
	case query.Has("lifecycle"):
		return map[string]string{
			http.MethodPut: "PutBucketLifecycleConfiguration", http.MethodGet: "GetBucketLifecycleConfiguration", http.MethodDelete: "DeleteBucketLifecycle",
		}[r.Method]
	case query.Has("uploads"):
		return map[bool]string{true: "CreateMultipartUpload", false: "ListMultipartUploads"}[r.Method == http.MethodPost]
	case query.Has("uploadId") && r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return "UploadPartCopy"
	case query.Has("uploadId"):
		return map[string]string{
			http.MethodPut: "UploadPart", http.MethodPost: "CompleteMultipartUpload", http.MethodDelete: "AbortMultipartUpload", http.MethodGet: "ListParts",
		}[r.Method]
	case query.Has("delete"):
		return "DeleteObjects"
	case r.URL.Path == "/":
		return "ListBuckets"
	case isBucket && query.Get("list-type") == "2":
		return "ListObjectsV2"
	case isBucket && query.Has("location"):
		return "GetBucketLocation"
	case isBucket:
		return map[string]string{
			http.MethodGet: "ListObjects", http.MethodPut: "CreateBucket", http.MethodHead: "HeadBucket", http.MethodDelete: "DeleteBucket",
		}[r.Method]
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyObject"
	}
	return map[string]string{
		http.MethodGet: "GetObject", http.MethodPut: "PutObject", http.MethodHead: "HeadObject", http.MethodDelete: "DeleteObject",
	}[r.Method]
}

// Operations are the names of those that are served, in order.
func Operations() []string {
	return []string{
		"AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateBucket", "CreateMultipartUpload", "DeleteBucket",
		"DeleteBucketLifecycle", "DeleteObject", "DeleteObjects", "GetBucketLifecycleConfiguration", "GetBucketLocation",
		"GetBucketNotificationConfiguration", "GetObject", "HeadBucket", "HeadObject", "ListBuckets", "ListMultipartUploads",
		"ListObjects", "ListObjectsV2", "ListParts", "PutBucketLifecycleConfiguration", "PutBucketNotificationConfiguration",
		"PutObject", "UploadPart", "UploadPartCopy",
	}
}

// Refuse answers a request with an error of any code.
func (s *Server) Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	s.writeXML(w, status, errorBody{Code: code, Message: message, Resource: r.URL.Path})
}
