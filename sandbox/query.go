package sandbox

import (
	"encoding/xml"
	"fmt"
	"net/http"

	"github.com/rs/zerolog"
)

// queryError is a refusal in the query protocol, which no service here speaks: old SDKs do to SQS, and all to SES or EC2.
type queryError struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
}

// unknownQuery answers requests of the query protocol, and logs the action that they name.
func unknownQuery(log zerolog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		action := r.FormValue("Action")
		log.Warn().Str("action", action).Msg("operation of the query protocol is not implemented by the sandbox")
		text, err := xml.Marshal(queryError{
			Type: "Sender", Code: "InvalidAction",
			Message: fmt.Sprintf("the sandbox does not implement %q of the query protocol; SQS is served over its JSON protocol", action),
		})
		if err != nil {
			log.Error().Err(err).Msg("marshal query error")
		}
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(http.StatusBadRequest)
		if _, err := w.Write(text); err != nil {
			log.Debug().Err(err).Msg("client left before its response was written")
		}
	})
}
