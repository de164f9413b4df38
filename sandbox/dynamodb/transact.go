package dynamodb

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"spate/sandbox/awsjson"
	"spate/sandbox/dynamodb/attribute"
)

// Limits of transactions (Amazon DynamoDB API reference, "TransactWriteItems").
const (
	maxTransaction      = 100
	maxTransactionBytes = 4 << 20
	tokenLife           = 10 * time.Minute
	maxTokenLength      = 36
)

type transactWriteItem struct {
	ConditionCheck *deleteInput
	Put            *putInput
	Update         *updateInput
	Delete         *deleteInput
}

type transactWriteInput struct {
	returnInput
	TransactItems      []transactWriteItem
	ClientRequestToken string
}

type transactWriteOutput struct {
	ConsumedCapacity []consumedCapacity `json:",omitempty"`
}

// cancellationReason says what one action of a cancelled transaction did: Code None means that it was not the cause.
type cancellationReason struct {
	Code    string
	Message string         `json:",omitempty"`
	Item    attribute.Item `json:",omitzero"`
}

// transactWriteOperation needs the request's text, to tell a repeated request from another with the same token.
func (s *Server) transactWriteOperation(_ context.Context, body []byte) (any, error) {
	in, err := decode[transactWriteInput](body)
	if err != nil {
		return nil, classify(err)
	}
	now := time.Now()
	if in.ClientRequestToken == "" {
		out, err := s.transactWriteItems(now, in)
		return out, classify(err)
	}
	if len(in.ClientRequestToken) > maxTokenLength {
		return nil, classify(outOfRange(in.ClientRequestToken, "clientRequestToken", "Member must have length less than or equal to 36"))
	}
	request := jsontext.Value(slices.Clone(body))
	if err := request.Canonicalize(); err != nil {
		return nil, awsjson.Errorf("com.amazon.coral.service#SerializationException", "%v", err)
	}
	out, err := s.tokens.once(in.ClientRequestToken, string(request), now, func() (transactWriteOutput, error) {
		return s.transactWriteItems(now, in)
	})
	return out, classify(err)
}

// transactWriteItems makes all writes or none.
func (s *Server) transactWriteItems(now time.Time, in transactWriteInput) (transactWriteOutput, error) {
	if len(in.TransactItems) < 1 || len(in.TransactItems) > maxTransaction {
		return transactWriteOutput{}, outOfRange(len(in.TransactItems), "transactItems", "Member must have length from 1 to 100")
	}
	writes := make([]*write, len(in.TransactItems))
	tables := make(map[string]*table)
	seen := make(map[itemID]bool)
	for i, item := range in.TransactItems {
		w, err := s.prepareAction(item)
		if err != nil {
			return transactWriteOutput{}, err
		}
		if seen[w.id()] {
			return transactWriteOutput{}, attribute.Invalid("Transaction request cannot include multiple operations on one item")
		}
		seen[w.id()] = true
		writes[i] = w
		tables[w.table.name] = w.table
	}
	for _, w := range writes {
		if err := w.table.meter.write(now, *w.table.habits.Load(), w.key); err != nil {
			return transactWriteOutput{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		tables[name].mu.Lock()
		defer tables[name].mu.Unlock()
	}
	changes, err := evaluateAll(writes)
	if err != nil {
		return transactWriteOutput{}, err
	}
	used := make(tally)
	for i, w := range writes {
		c := changes[i]
		c.now = now
		w.table.commit(c)
		units := 2 * writeUnits(c.old, c.next)
		w.table.meter.wrote(*w.table.habits.Load(), w.key, units)
		used[w.table.name] += units
	}
	return transactWriteOutput{ConsumedCapacity: used.list(in.returnInput)}, nil
}

func (s *Server) prepareAction(item transactWriteItem) (*write, error) {
	var prepared *write
	var err error
	actions := 0
	if item.ConditionCheck != nil {
		actions++
		prepared, err = s.prepareCheck(*item.ConditionCheck)
	}
	if item.Put != nil {
		actions++
		prepared, err = s.preparePut(*item.Put)
	}
	if item.Update != nil {
		actions++
		prepared, err = s.prepareUpdate(*item.Update)
	}
	if item.Delete != nil {
		actions++
		prepared, err = s.prepareDelete(*item.Delete)
	}
	if actions != 1 {
		return nil, attribute.Invalid("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	return prepared, err
}

// evaluateAll evaluates the writes against their tables, whose locks must be held. If one cannot be, the transaction is cancelled.
func evaluateAll(writes []*write) ([]change, error) {
	changes := make([]change, len(writes))
	reasons := make([]cancellationReason, len(writes))
	codes := make([]string, len(writes))
	cancelled, bytes := false, 0
	for i, w := range writes {
		old := w.table.get(w.key)
		next, err := w.evaluate(old)
		reason := reasonOf(err)
		reasons[i], codes[i] = reason, reason.Code
		cancelled = cancelled || err != nil
		changes[i] = change{key: w.key, old: old, next: next}
		bytes += next.ItemSize()
	}
	if cancelled {
		f := fault("TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
		f.Fields = map[string]any{"CancellationReasons": reasons}
		return nil, f
	}
	if bytes > maxTransactionBytes {
		return nil, attribute.Invalid("Transaction request cannot be larger than 4MB in size")
	}
	return changes, nil
}

func reasonOf(err error) cancellationReason {
	if f, ok := errors.AsType[*awsjson.Error](err); ok {
		item, _ := f.Fields["Item"].(attribute.Item)
		return cancellationReason{Code: "ConditionalCheckFailed", Message: f.Message, Item: item}
	}
	if err != nil {
		return cancellationReason{Code: "ValidationError", Message: err.Error()}
	}
	return cancellationReason{Code: "None"}
}

// tokens remember the client request tokens of the last ten minutes, so that a repeated transaction is made once.
type tokens struct {
	mu      sync.Mutex
	entries map[string]*tokenEntry
}

type tokenEntry struct {
	request string
	expires time.Time
	done    bool
	out     transactWriteOutput
}

// once calls do unless a request with the token succeeded before: then it returns that one's result. A failed request leaves the
// token free.
func (t *tokens) once(token, request string, now time.Time, do func() (transactWriteOutput, error)) (transactWriteOutput, error) {
	t.mu.Lock()
	if e := t.entries[token]; e != nil && now.Before(e.expires) {
		defer t.mu.Unlock()
		switch {
		case e.request != request:
			return transactWriteOutput{}, fault("IdempotentParameterMismatchException", "The request uses the same client token as a previous, but non-identical request. Do not reuse a client token with different requests, unless the requests are identical")
		case !e.done:
			return transactWriteOutput{}, fault("TransactionInProgressException", "The transaction with the given request token is already in progress.")
		}
		return e.out, nil
	}
	e := &tokenEntry{request: request, expires: now.Add(tokenLife)}
	t.entries[token] = e
	t.mu.Unlock()

	out, err := do()

	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		delete(t.entries, token)
		return out, err
	}
	e.done, e.out = true, out
	return out, nil
}

// forget drops the tokens that have expired.
func (t *tokens) forget(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.entries, func(_ string, e *tokenEntry) bool { return e.done && !now.Before(e.expires) })
}

type transactGetInput struct {
	returnInput
	TransactItems []struct{ Get *getInput }
}

type itemResponse struct {
	Item attribute.Item `json:",omitzero"`
}

type transactGetOutput struct {
	Responses        []itemResponse
	ConsumedCapacity []consumedCapacity `json:",omitempty"`
}

// transactGetItems reads all items at one moment.
func (s *Server) transactGetItems(_ time.Time, in transactGetInput) (transactGetOutput, error) {
	if len(in.TransactItems) < 1 || len(in.TransactItems) > maxTransaction {
		return transactGetOutput{}, outOfRange(len(in.TransactItems), "transactItems", "Member must have length from 1 to 100")
	}
	gets := make([]*get, len(in.TransactItems))
	tables := make(map[string]*table)
	for i, item := range in.TransactItems {
		if item.Get == nil {
			return transactGetOutput{}, outOfRange("null", "transactItems.member.get", "Member must not be null")
		}
		g, err := s.prepareGet(*item.Get)
		if err != nil {
			return transactGetOutput{}, err
		}
		gets[i] = g
		tables[g.table.name] = g.table
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		tables[name].mu.RLock()
		defer tables[name].mu.RUnlock()
	}
	out := transactGetOutput{Responses: make([]itemResponse, len(gets))}
	used := make(tally)
	for i, g := range gets {
		item := g.table.get(g.key)
		out.Responses[i].Item = project(g.projection, item)
		used[g.table.name] += 2 * readUnits(item.ItemSize(), true)
	}
	out.ConsumedCapacity = used.list(in.returnInput)
	return out, nil
}
