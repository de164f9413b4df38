package dynamodb

import (
	"encoding/json"
	"time"

	"spate/sandbox/dynamodb/attribute"
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

// batchWriteItem makes each write on its own; only validation is all or nothing.
func (s *Server) batchWriteItem(now time.Time, in batchWriteInput) (batchWriteOutput, error) {
	writes, err := s.prepareBatch(in)
	if err != nil {
		return batchWriteOutput{}, err
	}
	used := make(tally)
	for _, w := range writes {
		old, next, err := w.do(now)
		if err != nil {
			return batchWriteOutput{}, err
		}
		used[w.table.name] += writeUnits(old, next)
	}
	return batchWriteOutput{UnprocessedItems: map[string][]writeRequest{}, ConsumedCapacity: used.list(in.returnInput)}, nil
}

func (s *Server) prepareBatch(in batchWriteInput) ([]*write, error) {
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
	writes := make([]*write, 0, total)
	seen := make(map[itemID]bool, total)
	for name, requests := range in.RequestItems {
		for _, r := range requests {
			w, err := s.prepareRequest(name, r)
			if err != nil {
				return nil, err
			}
			if seen[w.id()] {
				return nil, attribute.Invalid("Provided list of item keys contains duplicates")
			}
			seen[w.id()] = true
			writes = append(writes, w)
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

// batchGetItem reads until the response is full; what is left over is returned as unprocessed.
func (s *Server) batchGetItem(_ time.Time, in batchGetInput) (batchGetOutput, error) {
	gets, err := s.prepareGets(in)
	if err != nil {
		return batchGetOutput{}, err
	}
	out := batchGetOutput{Responses: make(map[string][]attribute.Item), UnprocessedKeys: make(map[string]keysAndAttributes)}
	used, bytes := make(tally), 0
	for name, wanted := range in.RequestItems {
		out.Responses[name] = []attribute.Item{}
		for i, g := range gets[name] {
			g.table.mu.RLock()
			item := g.table.get(g.key)
			g.table.mu.RUnlock()
			if bytes += item.ItemSize(); bytes > maxBatchGetBytes {
				rest := wanted
				rest.Keys = wanted.Keys[i:]
				out.UnprocessedKeys[name] = rest
				break
			}
			used[name] += readUnits(item.ItemSize(), wanted.ConsistentRead)
			if item != nil {
				out.Responses[name] = append(out.Responses[name], project(g.projection, item))
			}
		}
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
