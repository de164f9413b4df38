package awsjson

import (
	"net/http"

	"github.com/rs/zerolog"
)

// Refuse answers a request with an error, as a Mux of that content type does for one that an operation returns.
func Refuse(w http.ResponseWriter, r *http.Request, contentType string, e *Error) {
	m := &Mux{ContentType: contentType, Log: zerolog.Nop()}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", requestID())
	m.writeError(w, r, e)
}
