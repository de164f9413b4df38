package dynamodb

import (
	"slices"
	"time"

	"spate/sandbox/dynamodb/attribute"
	"spate/sandbox/dynamodb/expression"
)

// write is one conditional write of one item, parsed and validated: all that is left is to look at the item as it is.
type write struct {
	table     *table
	key       string
	keyItem   attribute.Item // the key attributes
	condition *expression.Condition
	update    *expression.Update                               // for UpdateItem; nil changes nothing but makes the item exist
	next      func(old attribute.Item) (attribute.Item, error) // old and the result: nil when there is no item
	showOld   bool                                             // return the item when the condition fails
}

// evaluate returns the item as the write makes it of old, or why it must not: an exception, or something invalid.
func (w *write) evaluate(old attribute.Item) (attribute.Item, error) {
	if w.condition != nil {
		ok, err := w.condition.Matches(old)
		if err != nil {
			return nil, err
		}
		if !ok {
			shown := old
			if !w.showOld {
				shown = nil
			}
			return nil, errConditionFailed(shown)
		}
	}
	return w.next(old)
}

// do evaluates and commits the write on its own.
func (w *write) do(now time.Time) (old, next attribute.Item, err error) {
	h := *w.table.habits.Load()
	if err := w.table.meter.write(now, h, w.key); err != nil {
		return nil, nil, err
	}
	defer func() { w.table.meter.wrote(h, w.key, writeUnits(old, next)) }() // also when the condition failed
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	old = w.table.get(w.key)
	next, err = w.evaluate(old)
	if err != nil {
		return nil, nil, err
	}
	w.table.commit(change{key: w.key, old: old, next: next, now: now})
	return old, next, nil
}

// conditionInput is what conditional writes have in common.
type conditionInput struct {
	TableName                           string
	ConditionExpression                 *string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           attribute.Item
	ReturnValuesOnConditionCheckFailure string
}

type putInput struct {
	conditionInput
	Item attribute.Item
}

type deleteInput struct {
	conditionInput
	Key attribute.Item
}

type updateInput struct {
	conditionInput
	Key              attribute.Item
	UpdateExpression *string
}

// begin finds the table and parses the condition. The bindings are for further expressions; the caller checks them for leftovers.
func (s *Server) begin(in conditionInput) (*write, *expression.Bindings, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, nil, err
	}
	b, err := expression.NewBindings(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, nil, err
	}
	w := &write{table: t}
	switch in.ReturnValuesOnConditionCheckFailure {
	case "", "NONE":
	case "ALL_OLD":
		w.showOld = true
	default:
		return nil, nil, outOfRange(in.ReturnValuesOnConditionCheckFailure, "returnValuesOnConditionCheckFailure", "Member must satisfy enum value set: [ALL_OLD, NONE]")
	}
	if in.ConditionExpression != nil {
		w.condition, err = expression.ParseCondition("ConditionExpression", *in.ConditionExpression, b)
	}
	return w, b, err
}

func (s *Server) preparePut(in putInput) (*write, error) {
	w, b, err := s.begin(in.conditionInput)
	if err != nil {
		return nil, err
	}
	if err := b.Unused(); err != nil {
		return nil, err
	}
	if w.key, err = w.table.schema.keyOf(in.Item); err != nil {
		return nil, err
	}
	if in.Item.ItemSize() > maxItemBytes {
		return nil, attribute.Invalid("Item size has exceeded the maximum allowed size")
	}
	w.next = func(attribute.Item) (attribute.Item, error) { return in.Item, nil }
	return w, nil
}

func (s *Server) prepareDelete(in deleteInput) (*write, error) {
	return s.prepareByKey(in, func(attribute.Item) (attribute.Item, error) { return nil, nil })
}

// prepareCheck is a write that leaves the item as it is.
func (s *Server) prepareCheck(in deleteInput) (*write, error) {
	if in.ConditionExpression == nil {
		return nil, outOfRange("null", "transactItems.member.conditionCheck.conditionExpression", "Member must not be null")
	}
	return s.prepareByKey(in, func(old attribute.Item) (attribute.Item, error) { return old, nil })
}

func (s *Server) prepareByKey(in deleteInput, next func(attribute.Item) (attribute.Item, error)) (*write, error) {
	w, b, err := s.begin(in.conditionInput)
	if err != nil {
		return nil, err
	}
	if err := b.Unused(); err != nil {
		return nil, err
	}
	w.keyItem, w.next = in.Key, next
	w.key, err = w.table.schema.keyOfKey(in.Key)
	return w, err
}

func (s *Server) prepareUpdate(in updateInput) (*write, error) {
	w, b, err := s.begin(in.conditionInput)
	if err != nil {
		return nil, err
	}
	if in.UpdateExpression != nil {
		if w.update, err = expression.ParseUpdate(*in.UpdateExpression, b); err != nil {
			return nil, err
		}
		for _, k := range w.table.schema.attributes() {
			if w.update.Touches(k.name) {
				return nil, attribute.Invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", k.name)
			}
		}
	}
	if err := b.Unused(); err != nil {
		return nil, err
	}
	if w.key, err = w.table.schema.keyOfKey(in.Key); err != nil {
		return nil, err
	}
	w.keyItem = in.Key
	w.next = w.applyUpdate
	return w, nil
}

func (w *write) applyUpdate(old attribute.Item) (attribute.Item, error) {
	base := old
	if base == nil {
		base = w.keyItem
	}
	if w.update == nil {
		return base, nil
	}
	next, err := w.update.Apply(base)
	if err != nil {
		return nil, err
	}
	if next.ItemSize() > maxItemBytes {
		return nil, attribute.Invalid("Item size to update has exceeded the maximum allowed size")
	}
	return next, nil
}

// returnInput asks for what a single write returns.
type returnInput struct {
	ReturnValues           string
	ReturnConsumedCapacity string
}

// check refuses return values other than those allowed.
func (r returnInput) check(allowed ...string) error {
	if r.ReturnValues == "" || slices.Contains(allowed, r.ReturnValues) {
		return nil
	}
	switch r.ReturnValues {
	case "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW":
		return attribute.Invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	return outOfRange(r.ReturnValues, "returnValues", "Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]")
}

type writeOutput struct {
	Attributes       attribute.Item    `json:",omitzero"`
	ConsumedCapacity *consumedCapacity `json:",omitempty"`
}

type putItemInput struct {
	putInput
	returnInput
	unserved
}

func (s *Server) putItem(now time.Time, in putItemInput) (writeOutput, error) {
	if err := in.check("NONE", "ALL_OLD"); err != nil {
		return writeOutput{}, err
	}
	w, err := s.preparePut(in.putInput)
	if err != nil {
		return writeOutput{}, err
	}
	return w.finish(now, in.returnInput)
}

type deleteItemInput struct {
	deleteInput
	returnInput
	unserved
}

func (s *Server) deleteItem(now time.Time, in deleteItemInput) (writeOutput, error) {
	if err := in.check("NONE", "ALL_OLD"); err != nil {
		return writeOutput{}, err
	}
	w, err := s.prepareDelete(in.deleteInput)
	if err != nil {
		return writeOutput{}, err
	}
	return w.finish(now, in.returnInput)
}

type updateItemInput struct {
	updateInput
	returnInput
	unserved
}

func (s *Server) updateItem(now time.Time, in updateItemInput) (writeOutput, error) {
	if err := in.check("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"); err != nil {
		return writeOutput{}, err
	}
	w, err := s.prepareUpdate(in.updateInput)
	if err != nil {
		return writeOutput{}, err
	}
	return w.finish(now, in.returnInput)
}

// finish does a single write and returns what was asked for.
func (w *write) finish(now time.Time, ask returnInput) (writeOutput, error) {
	old, next, err := w.do(now)
	if err != nil {
		return writeOutput{}, err
	}
	var out writeOutput
	switch ask.ReturnValues {
	case "ALL_OLD":
		out.Attributes = old
	case "ALL_NEW":
		out.Attributes = next
	case "UPDATED_OLD":
		out.Attributes = w.touched(old)
	case "UPDATED_NEW":
		out.Attributes = w.touched(next)
	}
	out.ConsumedCapacity = ask.capacity(w.table.name, writeUnits(old, next))
	return out, nil
}

// touched is the part of an item that the update named; nil when there is none.
func (w *write) touched(item attribute.Item) attribute.Item {
	if w.update == nil || item == nil {
		return nil
	}
	if part := w.update.Touched(item); len(part) > 0 {
		return part
	}
	return nil
}
