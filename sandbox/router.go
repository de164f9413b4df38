package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"spate/sandbox/awsjson"
)

const (
	ownPath      = "/_sandbox" // no bucket's name: those have no underscore
	metadataPath = "/_sandbox/metadata"
	healthPath   = "/_sandbox/health"
)

// router finds the service that a request is for.
type router struct {
	targets map[string]http.Handler // by the X-Amz-Target header up to its last dot
	own     map[string]http.Handler // by path, which is theirs with all below it
	objects http.Handler
	unknown http.Handler
	queries http.Handler // for requests of the query protocol
}

// ServeHTTP passes the request on.
func (r *router) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if target := request.Header.Get("X-Amz-Target"); target != "" {
		service := r.targets[target[:strings.LastIndexByte(target, '.')+1]]
		if service == nil {
			service = r.unknown
		}
		service.ServeHTTP(w, request)
		return
	}
	path := request.URL.Path
	if path == healthPath {
		fmt.Fprintln(w, `{"status":"ok"}`)
		return
	}
	for prefix, handler := range r.own {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			handler.ServeHTTP(w, request)
			return
		}
	}
	switch {
	case path == ownPath || strings.HasPrefix(path, ownPath+"/"):
		paths := slices.Sorted(maps.Keys(r.own))
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no %s: want one of %s, %s", path, healthPath, strings.Join(paths, ", ")))
	case path == "/" && request.Method == http.MethodPost: // S3 has no such operation
		r.queries.ServeHTTP(w, request)
	default:
		r.objects.ServeHTTP(w, request)
	}
}

// unknownTarget answers for services that the sandbox does not have.
func unknownTarget(log zerolog.Logger) http.Handler {
	return &awsjson.Mux{ContentType: "application/x-amz-json-1.1", Log: log}
}
