package awsjson_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"spate/sandbox/awsjson"
)

type greeting struct {
	Name string `json:"name"`
}

func serve(t *testing.T, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	mux := &awsjson.Mux{
		Prefix:      "Greeter_1.",
		ContentType: "application/x-amz-json-1.0",
		Operations: map[string]awsjson.Operation{
			"Greet": awsjson.Handle(func(_ context.Context, in greeting) (greeting, error) {
				return greeting{Name: "hello " + in.Name}, nil
			}),
			"Refuse": awsjson.Handle(func(context.Context, greeting) (greeting, error) {
				return greeting{}, &awsjson.Error{
					Code: "ConflictException", Message: "again", QueryCode: "Old.Conflict",
					Fields: map[string]any{"resourceIds": []string{"a"}},
				}
			}),
			"Break": awsjson.Handle(func(context.Context, greeting) (greeting, error) {
				return greeting{}, errors.New("boom")
			}),
		},
		Log: zerolog.Nop(),
	}
	request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	request.Header.Set("X-Amz-Target", target)
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, request)
	return response
}

func TestMuxAnswersInTheServicesContentType(t *testing.T) {
	response := serve(t, "Greeter_1.Greet", `{"name":"Ada","unknown":1}`)
	if response.Code != http.StatusOK || response.Body.String() != `{"name":"hello Ada"}` {
		t.Fatalf("got %d %s", response.Code, response.Body)
	}
	if got := response.Header().Get("Content-Type"); got != "application/x-amz-json-1.0" {
		t.Errorf("content type %q", got)
	}
	if len(response.Header().Get("X-Amzn-Requestid")) != 36 {
		t.Errorf("request id %q", response.Header().Get("X-Amzn-Requestid"))
	}
}

func TestMuxTakesAnEmptyBodyForAnEmptyObject(t *testing.T) {
	if response := serve(t, "Greeter_1.Greet", ""); response.Code != http.StatusOK {
		t.Fatalf("got %d %s", response.Code, response.Body)
	}
}

func TestMuxWritesErrorsInTheProtocolsForm(t *testing.T) {
	for _, tc := range []struct {
		name, target, body string
		status             int
		want               string
	}{
		{"declared", "Greeter_1.Refuse", "{}", 400, `{"__type":"ConflictException","message":"again","resourceIds":["a"]}`},
		{"internal", "Greeter_1.Break", "{}", 500, `{"__type":"InternalServerError","message":"boom"}`},
		{"malformed", "Greeter_1.Greet", "{", 400, `{"__type":"SerializationException","message":"unexpected end of JSON input"}`},
		{"unknown", "Greeter_1.Sing", "{}", 400, `{"__type":"UnknownOperationException","message":"the sandbox does not implement \"Greeter_1.Sing\""}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			response := serve(t, tc.target, tc.body)
			if response.Code != tc.status || response.Body.String() != tc.want {
				t.Errorf("got %d %s", response.Code, response.Body)
			}
		})
	}
}

func TestMuxSendsTheQueryProtocolsCodeInItsHeader(t *testing.T) {
	response := serve(t, "Greeter_1.Refuse", "{}")
	if got := response.Header().Get("X-Amzn-Query-Error"); got != "Old.Conflict;Sender" {
		t.Errorf("query error header %q", got)
	}
}
