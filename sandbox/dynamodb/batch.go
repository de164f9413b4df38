package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"spate/sandbox/awsjson"
	"spate/sandbox/dynamodb/attribute"
	faults "spate/sandbox/fault"
)

// Limits of batches (Amazon DynamoDB API reference, "BatchWriteItem" and "BatchGetItem").
const (
	maxBatchWrites   = 25
	maxBatchGets     = 100
	maxBatchGetBytes = 16 << 20
)

type writeRequest struct {
	PutRequest    *struct{ Item attribute.Item } `json:",omitempty"`
	DeleteRequest *struct{ Key attribute.Item }  `json:",omitempty"`
}

type batchWriteInput struct {
	returnInput
	RequestItems map[string][]writeRequest
}

type batchWriteOutput struct {
	UnprocessedItems map[string][]writeRequest
	ConsumedCapacity []consumedCapacity `json:",omitempty"`
}

// batchWriteItem makes each write on its own; only validation is all or nothing. What is throttled is left unprocessed,
// unless everything is.
func (s *Server) batchWriteItem(ctx context.Context, now time.Time, in batchWriteInput) (batchWriteOutput, error) {
	writes, err := s.prepareBatch(in)
	if err != nil {
		return batchWriteOutput{}, err
	}
	out := batchWriteOutput{UnprocessedItems: map[string][]writeRequest{}}
	used, served, done := make(tally), servedOf(ctx, len(writes)), 0
	for i, w := range writes {
		err := errThrottled()
		var old, next attribute.Item
		if i < served {
			old, next, err = w.do(now)
		}
		switch {
		case isThrottled(err):
			out.UnprocessedItems[w.named] = append(out.UnprocessedItems[w.named], w.request)
			continue
		case err != nil:
			return batchWriteOutput{}, err
		}
		done++
		used[w.table.name] += writeUnits(old, next)
	}
	if done == 0 && served > 0 {
		return batchWriteOutput{}, errThrottled()
	}
	out.ConsumedCapacity = used.list(in.returnInput)
	return out, nil
}

// servedOf is how many of n entries are served; a fault may leave some out.
func servedOf(ctx context.Context, n int) int {
	if rule, ok := faults.Wanted(ctx, faults.Partial); ok {
		return rule.Refused(n)
	}
	return n
}

// isThrottled says whether an item found no capacity.
func isThrottled(err error) bool {
	f, ok := errors.AsType[*awsjson.Error](err)
	return ok && f.Code == namespace+"ThrottlingException"
}

// batchWrite is one write of a batch, with the request that asked for it.
type batchWrite struct {
	*write
	named   string // the table, as the request names it
	request writeRequest
}

func (s *Server) prepareBatch(in batchWriteInput) ([]batchWrite, error) {
	total := 0
	for _, requests := range in.RequestItems {
		total += len(requests)
	}
	if total == 0 {
		return nil, attribute.Invalid("1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	if total > maxBatchWrites {
		return nil, attribute.Invalid("Too many items requested for the BatchWriteItem call")
	}
	writes := make([]batchWrite, 0, total)
	seen := make(map[itemID]bool, total)
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		for _, r := range in.RequestItems[name] {
			w, err := s.prepareRequest(name, r)
			if err != nil {
				return nil, err
			}
			if seen[w.id()] {
				return nil, attribute.Invalid("Provided list of item keys contains duplicates")
			}
			seen[w.id()] = true
			writes = append(writes, batchWrite{w, name, r})
		}
	}
	return writes, nil
}

func (s *Server) prepareRequest(tableName string, r writeRequest) (*write, error) {
	in := conditionInput{TableName: tableName}
	switch {
	case r.PutRequest != nil && r.DeleteRequest == nil:
		return s.preparePut(putInput{conditionInput: in, Item: r.PutRequest.Item})
	case r.DeleteRequest != nil && r.PutRequest == nil:
		return s.prepareDelete(deleteInput{conditionInput: in, Key: r.DeleteRequest.Key})
	}
	return nil, attribute.Invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
}

// itemID tells items apart across tables.
type itemID struct{ table, key string }

func (w *write) id() itemID { return itemID{table: w.table.name, key: w.key} }

type keysAndAttributes struct {
	Keys                     []attribute.Item
	ProjectionExpression     *string           `json:",omitempty"`
	ExpressionAttributeNames map[string]string `json:",omitempty"`
	ConsistentRead           bool              `json:",omitempty"`
	AttributesToGet          json.RawMessage   `json:",omitempty"` // legacy, refused
}

type batchGetInput struct {
	returnInput
	RequestItems map[string]keysAndAttributes
}

type batchGetOutput struct {
	Responses        map[string][]attribute.Item
	UnprocessedKeys  map[string]keysAndAttributes
	ConsumedCapacity []consumedCapacity `json:",omitempty"`
}

// batchGetItem reads until the response is full; what is left over is returned as unprocessed, and so is what is
// throttled, unless everything is.
func (s *Server) batchGetItem(ctx context.Context, now time.Time, in batchGetInput) (batchGetOutput, error) {
	gets, err := s.prepareGets(in)
	if err != nil {
		return batchGetOutput{}, err
	}
	out := batchGetOutput{Responses: make(map[string][]attribute.Item), UnprocessedKeys: make(map[string]keysAndAttributes)}
	total := 0
	for _, wanted := range gets {
		total += len(wanted)
	}
	used, bytes, seen, done, served := make(tally), 0, 0, 0, servedOf(ctx, total)
	for _, name := range slices.Sorted(maps.Keys(in.RequestItems)) {
		wanted := in.RequestItems[name]
		out.Responses[name] = []attribute.Item{}
		var left []attribute.Item
		for i, g := range gets[name] {
			err := errThrottled()
			var item attribute.Item
			if seen++; seen <= served {
				item, err = g.do(now, wanted.ConsistentRead)
			}
			if isThrottled(err) {
				left = append(left, wanted.Keys[i])
				continue
			}
			if err != nil {
				return batchGetOutput{}, err
			}
			if bytes += item.ItemSize(); bytes > maxBatchGetBytes {
				left = append(left, wanted.Keys[i:]...)
				break
			}
			done++
			used[name] += readUnits(item.ItemSize(), wanted.ConsistentRead)
			if item != nil {
				out.Responses[name] = append(out.Responses[name], project(g.projection, item))
			}
		}
		if len(left) > 0 {
			wanted.Keys = left
			out.UnprocessedKeys[name] = wanted
		}
	}
	if done == 0 && served > 0 {
		return batchGetOutput{}, errThrottled()
	}
	out.ConsumedCapacity = used.list(in.returnInput)
	return out, nil
}

func (s *Server) prepareGets(in batchGetInput) (map[string][]*get, error) {
	total := 0
	gets := make(map[string][]*get, len(in.RequestItems))
	seen := make(map[itemID]bool)
	for name, wanted := range in.RequestItems {
		if total += len(wanted.Keys); total > maxBatchGets {
			return nil, attribute.Invalid("Too many items requested for the BatchGetItem call")
		}
		if err := (unserved{AttributesToGet: wanted.AttributesToGet}).refuse(); err != nil {
			return nil, err
		}
		for _, key := range wanted.Keys {
			g, err := s.prepareGet(getInput{
				TableName: name, Key: key,
				ProjectionExpression: wanted.ProjectionExpression, ExpressionAttributeNames: wanted.ExpressionAttributeNames,
			})
			if err != nil {
				return nil, err
			}
			id := itemID{table: g.table.name, key: g.key}
			if seen[id] {
				return nil, attribute.Invalid("Provided list of item keys contains duplicates")
			}
			seen[id] = true
			gets[name] = append(gets[name], g)
		}
	}
	if total == 0 {
		return nil, attribute.Invalid("1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	return gets, nil
}
