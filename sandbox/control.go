package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"spate/sandbox/ecs"
	"spate/sandbox/fault"
	"spate/sandbox/s3"
)

// Paths of what the sandbox serves of its own, beside AWS's services.
const (
	faultsPath    = "/_sandbox/faults"
	statePath     = "/_sandbox/state"
	accountPath   = "/_sandbox/account"
	interruptPath = "/_sandbox/interrupt"
	splitPath     = "/_sandbox/split"
	redisPath     = "/_sandbox/redis"
)

// State is what the sandbox tells of itself at /_sandbox/state, for tests to assert on and for people who wonder.
type State struct {
	Seed uint64 `json:"seed"`
	// Calls counts requests by service, operation and outcome: "ok", an error's code, or "dropped" where the work was done
	// and the answer withheld.
	Calls    map[string]map[string]map[string]int `json:"calls"`
	Faults   []fault.Armed                        `json:"faults"`
	ECS      any                                  `json:"ecs"`
	SQS      any                                  `json:"sqs"`
	DynamoDB any                                  `json:"dynamodb"`
	S3       any                                  `json:"s3"`
}

// State is how things stand now. The services are read one after another.
func (s *Sandbox) State() State {
	return State{
		Seed: s.options.Seed, Calls: s.faults.Calls(), Faults: s.faults.Rules(),
		ECS: s.ecs.State(), SQS: s.queues.State(), DynamoDB: s.tables.State(), S3: s.objects.State(),
	}
}

// Messages are the bodies of all messages that a queue holds, in flight and delayed ones included, in no order: what nobody has
// dealt with yet.
func (s *Sandbox) Messages(queue string) []string { return s.queues.Messages(queue) }

// Faults makes the services fail on demand, as POST /_sandbox/faults does.
func (s *Sandbox) Faults() *fault.Injector { return s.faults }

func (s *Sandbox) serveState(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, errors.New("want GET"))
		return
	}
	writeJSON(w, http.StatusOK, s.State())
}

// maxBody bounds the JSON that the sandbox's own endpoints take.
const maxBody = 64 << 10

// Interrupt takes the capacity of up to n running Spot tasks away, and returns of how many.
func (s *Sandbox) Interrupt(n int) int { return s.ecs.Interrupt(n) }

// serveAccount shows how the account behaves, and changes those that a PATCH names.
func (s *Sandbox) serveAccount(w http.ResponseWriter, r *http.Request) {
	account := s.Account()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPatch:
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&account)
		if err == nil {
			err = s.SetAccount(account)
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
	default:
		refuse(w, http.StatusMethodNotAllowed, errors.New("want GET or PATCH"))
		return
	}
	writeJSON(w, http.StatusOK, account)
}

// serveInterrupt interrupts Spot tasks: ?count=N, 1 without it.
func (s *Sandbox) serveInterrupt(w http.ResponseWriter, r *http.Request) {
	count, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("count"), "1"))
	if err != nil || count < 1 || r.Method != http.MethodPost {
		refuse(w, http.StatusBadRequest, errors.New("want POST "+interruptPath+"?count=N, N at least 1"))
		return
	}
	writeJSON(w, http.StatusOK, map[string]int{"interrupted": s.Interrupt(count)})
}

// SplitStream closes the open shards of a table's stream and gives each two children, as the service does from time to
// time. It fails when there is no such table or its stream is off.
func (s *Sandbox) SplitStream(table string) error { return s.tables.SplitStream(table) }

// serveSplit splits a stream's shards: POST /_sandbox/split?table=NAME.
func (s *Sandbox) serveSplit(w http.ResponseWriter, r *http.Request) {
	table := r.URL.Query().Get("table")
	err := errors.New("want POST " + splitPath + "?table=NAME")
	if r.Method == http.MethodPost && table != "" {
		err = s.SplitStream(table)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveFaults lists, adds and removes rules.
func (s *Sandbox) serveFaults(w http.ResponseWriter, r *http.Request) {
	id := strings.Trim(strings.TrimPrefix(r.URL.Path, faultsPath), "/")
	switch {
	case r.Method == http.MethodGet && id == "":
		writeJSON(w, http.StatusOK, s.faults.Rules())
	case r.Method == http.MethodPost && id == "":
		data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		rule, err := fault.ParseRule(data)
		if err == nil {
			err = s.checkOperation(rule)
		}
		if err == nil {
			rule, err = s.faults.Add(rule)
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		s.options.Log.Info().Interface("fault", rule).Msg("fault armed")
		writeJSON(w, http.StatusCreated, rule)
	case r.Method == http.MethodDelete && id == "":
		s.faults.Clear()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		if !s.faults.Remove(id) {
			refuse(w, http.StatusNotFound, errors.New("there is no fault "+id))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, errors.New("want GET, POST or DELETE "+faultsPath+", or DELETE "+faultsPath+"/ID"))
	}
}

// checkOperation refuses a rule about an operation that is not served: it would wait for ever.
func (s *Sandbox) checkOperation(r fault.Rule) error {
	known := s.Operations()[r.Service]
	switch r.Service {
	case fault.ECS:
		known = append(known, ecs.EventOperation)
	case fault.S3:
		known = append(known, s3.NotificationOperation)
	}
	if r.Operation != "" && !slices.Contains(known, r.Operation) {
		return fmt.Errorf("operation %q: want one of %s", r.Operation, strings.Join(known, ", "))
	}
	return nil
}

// FlushRedis removes all that the Redis holds and cuts its connections, as a failover to an empty node does.
func (s *Sandbox) FlushRedis(ctx context.Context) error { return s.redis.flush(ctx) }

// SaveRedis remembers what the Redis holds; RestoreRedis puts it back and cuts the connections, as a failover to a replica
// that was behind does.
func (s *Sandbox) SaveRedis(ctx context.Context) error { return s.redis.save(ctx) }

// RestoreRedis is SaveRedis's counterpart. It fails when nothing was saved.
func (s *Sandbox) RestoreRedis(ctx context.Context) error { return s.redis.restore(ctx) }

// HangRedis makes the Redis silent for a while: connections stay, and nothing passes.
func (s *Sandbox) HangRedis(d time.Duration) { s.redis.hang(d) }

// serveRedis does one of these: POST /_sandbox/redis?do=flush, save, restore, or hang&for=5s.
func (s *Sandbox) serveRedis(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var err error
	switch do := query.Get("do"); {
	case r.Method != http.MethodPost:
		err = errors.New("want POST")
	case do == "flush":
		err = s.FlushRedis(r.Context())
	case do == "save":
		err = s.SaveRedis(r.Context())
	case do == "restore":
		err = s.RestoreRedis(r.Context())
	case do == "hang":
		var d time.Duration
		if d, err = time.ParseDuration(query.Get("for")); err == nil {
			s.HangRedis(d)
		}
	default:
		err = errors.New("want " + redisPath + "?do=flush, save, restore, or hang&for=5s")
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func refuse(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": err.Error()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that has left needs no answer
}
