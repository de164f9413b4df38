package scaler

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"spate/internal/awsclient"
)

// A record that cannot be sent is given up once, whoever leads; the pool goes on.
func TestAnIntentWhoseRequestCannotBeReadIsGivenUpOnce(t *testing.T) {
	for name, request := range map[string]string{"cut off": `{"Cluster":"hpc`, "empty": "", "null": "null", "of another intent": `{"ClientToken":"b"}`} {
		for _, state := range []IntentState{IntentOpen, IntentUnsettled} {
			t.Run(name+", "+string(state), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t, 10)
					var log bytes.Buffer
					s.log = zerolog.New(&log).Level(zerolog.ErrorLevel)
					s.journal.intents["a"] = Intent{
						ID: "a", Pool: "rollup", Provider: "FARGATE", Count: 5, Request: request, State: state, CreatedAt: time.Now(), UpdatedAt: time.Now(),
					}
					for range 2 {
						s.start()
						s.until("ten workers of readable intents", time.Minute, func() bool { return s.ecs.launched() == 10 && s.settled() })
						if err := s.stop(); err != nil {
							t.Fatal(err)
						}
					}
					got := s.journal.intents["a"]
					if got.State != IntentRefused || got.Class != awsclient.ClassConfiguration || got.Reason == "" || got.ExpiresAt == 0 || got.Request != request {
						t.Errorf("intent %+v", got)
					}
					if n := bytes.Count(log.Bytes(), []byte("\n")); n != 1 || !bytes.Contains(log.Bytes(), []byte(got.ID)) {
						t.Errorf("%d errors: %s", n, log.String())
					}
				})
			})
		}
	}
}

func TestAnAnsweredIntentNeedsItsRequestNoMore(t *testing.T) {
	p := &pool{fleet: newFleet(), intents: map[string]*record{}}
	p.resume(planNow, []Intent{{ID: "a", State: IntentAnswered, Count: 1, Provider: "FARGATE", Tasks: []string{"x"}}}, Status{})
	if r := p.intents["a"]; r.State != IntentAnswered || r.dirty || !p.fleet.unseen("x") {
		t.Errorf("%+v", r)
	}
}
