package sandbox_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"spate/sandbox"
)

func TestWhatNobodyServesIsRefusedByName(t *testing.T) {
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		answer, log        string
	}{
		"an action of the query protocol": {
			"POST", "/", "Action=SendEmail&Version=2010-12-01", http.StatusBadRequest, "<Code>InvalidAction</Code>", `"action":"SendEmail"`,
		},
		"a mistyped path of the sandbox": {"POST", "/_sandbox/fault", "{}", http.StatusNotFound, "there is no /_sandbox/fault: want one of", ""},
		"a method that S3 has not":       {"POST", "/v2/email", "{}", http.StatusMethodNotAllowed, "<Code>MethodNotAllowed</Code>", `"path":"/v2/email"`},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			box, err := sandbox.New(sandbox.Options{InProcess: true, Log: zerolog.New(&log)})
			if err != nil {
				t.Fatal(err)
			}
			answer := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), test.method, test.path, strings.NewReader(test.body))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			box.Handler().ServeHTTP(answer, request)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := box.Run(ctx); err != nil { // releases what New took
				t.Error(err)
			}
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.answer) {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
			if !strings.Contains(log.String(), test.log) {
				t.Errorf("log: %s", &log)
			}
		})
	}
}
