package dynamodb

import (
	"fmt"
	"iter"
	"time"

	"spate/sandbox/dynamodb/attribute"
	"spate/sandbox/dynamodb/expression"
)

// maxPageBytes bounds what one Query or Scan reads (Amazon DynamoDB developer guide, "Quotas").
const maxPageBytes = 1 << 20

type getInput struct {
	TableName                string
	Key                      attribute.Item
	ProjectionExpression     *string
	ExpressionAttributeNames map[string]string
}

// get is one look-up, parsed and validated.
type get struct {
	table      *table
	key        string
	projection *expression.Projection
}

func (s *Server) prepareGet(in getInput) (*get, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, err
	}
	g := &get{table: t}
	b, err := expression.NewBindings(in.ExpressionAttributeNames, nil)
	if err != nil {
		return nil, err
	}
	if g.projection, err = projection(in.ProjectionExpression, b); err != nil {
		return nil, err
	}
	if err := b.Unused(); err != nil {
		return nil, err
	}
	g.key, err = t.schema.keyOfKey(in.Key)
	return g, err
}

func projection(text *string, b *expression.Bindings) (*expression.Projection, error) {
	if text == nil {
		return nil, nil //nolint:nilnil // no projection: the whole item
	}
	return expression.ParseProjection(*text, b)
}

// project applies a projection, if there is one, to an item, if there is one.
func project(p *expression.Projection, item attribute.Item) attribute.Item {
	if p == nil || item == nil {
		return item
	}
	return p.Apply(item)
}

type getItemInput struct {
	getInput
	returnInput
	unserved
	ConsistentRead bool
}

type getItemOutput struct {
	Item             attribute.Item    `json:",omitzero"`
	ConsumedCapacity *consumedCapacity `json:",omitempty"`
}

func (s *Server) getItem(now time.Time, in getItemInput) (getItemOutput, error) {
	g, err := s.prepareGet(in.getInput)
	if err != nil {
		return getItemOutput{}, err
	}
	item, err := g.do(now, in.ConsistentRead)
	if err != nil {
		return getItemOutput{}, err
	}
	return getItemOutput{
		Item:             project(g.projection, item),
		ConsumedCapacity: in.capacity(g.table.name, readUnits(item.ItemSize(), in.ConsistentRead)),
	}, nil
}

// do reads the item; nil when there is none.
func (g *get) do(now time.Time, consistent bool) (attribute.Item, error) {
	h := *g.table.habits.Load()
	if err := g.table.meter.read(now, h, g.key); err != nil {
		return nil, err
	}
	g.table.mu.RLock()
	defer g.table.mu.RUnlock()
	item := g.table.get(g.key)
	g.table.meter.hasRead(h, g.key, readUnits(item.ItemSize(), consistent))
	return item, nil
}

// pageInput is what Query and Scan have in common.
type pageInput struct {
	returnInput
	unserved
	TableName                 string
	ConsistentRead            bool
	ExclusiveStartKey         attribute.Item
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues attribute.Item
	FilterExpression          *string
	Limit                     *int
	ProjectionExpression      *string
	Select                    string
}

type pageOutput struct {
	Items            []attribute.Item `json:",omitzero"`
	Count            int
	ScannedCount     int
	LastEvaluatedKey attribute.Item    `json:",omitzero"`
	ConsumedCapacity *consumedCapacity `json:",omitempty"`
}

// page collects one page of a Query or Scan.
type page struct {
	table      *table
	limit      int // records to look at; 0 for no limit
	filter     *expression.Condition
	projection *expression.Projection
	countOnly  bool
	start      string // the key to go on after; empty at the beginning

	items   []attribute.Item
	count   int
	scanned int
	bytes   int
	last    *record // where the page ended, if there may be more
}

// preparePage parses the common part. The caller checks the bindings for leftovers.
func (s *Server) preparePage(in pageInput) (*page, *expression.Bindings, error) {
	t, err := s.table(in.TableName)
	if err != nil {
		return nil, nil, err
	}
	p := &page{table: t, items: []attribute.Item{}}
	if in.Limit != nil {
		if *in.Limit < 1 {
			return nil, nil, outOfRange(*in.Limit, "limit", "Member must have value greater than or equal to 1")
		}
		p.limit = *in.Limit
	}
	switch in.Select {
	case "", "ALL_ATTRIBUTES", "SPECIFIC_ATTRIBUTES":
	case "COUNT":
		p.countOnly = true
	case "ALL_PROJECTED_ATTRIBUTES":
		return nil, nil, attribute.Invalid("One or more parameter values were invalid: ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	default:
		return nil, nil, outOfRange(in.Select, "select", "Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]")
	}
	if in.ProjectionExpression != nil && (p.countOnly || in.Select == "ALL_ATTRIBUTES") {
		return nil, nil, attribute.Invalid("Cannot specify the ProjectionExpression when choosing to get %s", in.Select)
	}
	if in.ProjectionExpression == nil && in.Select == "SPECIFIC_ATTRIBUTES" {
		return nil, nil, attribute.Invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	}
	b, err := expression.NewBindings(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	if err != nil {
		return nil, nil, err
	}
	if p.projection, err = projection(in.ProjectionExpression, b); err != nil {
		return nil, nil, err
	}
	if in.FilterExpression != nil {
		if p.filter, err = expression.ParseCondition("FilterExpression", *in.FilterExpression, b); err != nil {
			return nil, nil, err
		}
	}
	if in.ExclusiveStartKey != nil {
		if p.start, err = t.schema.keyOfKey(in.ExclusiveStartKey); err != nil {
			return nil, nil, attribute.Invalid("The provided starting key is invalid: %s", err)
		}
	}
	return p, b, nil
}

// collect reads records until the page is full. The table's mu must be held.
func (p *page) collect(found iter.Seq[*record]) error {
	for rec := range found {
		p.scanned++
		p.bytes += rec.size
		matches := true
		if p.filter != nil {
			var err error
			if matches, err = p.filter.Matches(rec.item); err != nil {
				return fmt.Errorf("filter item: %w", err)
			}
		}
		if matches {
			p.count++
			if !p.countOnly {
				p.items = append(p.items, rec.item)
			}
		}
		if p.scanned == p.limit || p.bytes >= maxPageBytes {
			p.last = rec
			return nil
		}
	}
	return nil
}

// do reads the page. key is one of the only partition that it reads, or "". The table's mu must be held.
func (p *page) do(now time.Time, in pageInput, key string, found iter.Seq[*record]) (pageOutput, error) {
	h := *p.table.habits.Load()
	if err := p.table.meter.read(now, h, key); err != nil {
		return pageOutput{}, err
	}
	if err := p.collect(found); err != nil {
		return pageOutput{}, err
	}
	p.table.meter.hasRead(h, key, readUnits(p.bytes, in.ConsistentRead))
	return p.output(in), nil
}

func (p *page) output(in pageInput) pageOutput {
	out := pageOutput{
		Count: p.count, ScannedCount: p.scanned,
		ConsumedCapacity: in.capacity(p.table.name, readUnits(p.bytes, in.ConsistentRead)),
	}
	if p.last != nil {
		out.LastEvaluatedKey = p.table.schema.keyItem(p.last.item)
	}
	if !p.countOnly {
		out.Items = p.items
		for i, item := range out.Items {
			out.Items[i] = project(p.projection, item)
		}
	}
	return out
}

type queryInput struct {
	pageInput
	KeyConditionExpression *string
	ScanIndexForward       *bool
}

func (s *Server) query(now time.Time, in queryInput) (pageOutput, error) {
	p, b, err := s.preparePage(in.pageInput)
	if err != nil {
		return pageOutput{}, err
	}
	if in.KeyConditionExpression == nil {
		return pageOutput{}, attribute.Invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	tests, err := expression.ParseKeyCondition(*in.KeyConditionExpression, b)
	if err != nil {
		return pageOutput{}, err
	}
	if err := b.Unused(); err != nil {
		return pageOutput{}, err
	}
	for _, k := range p.table.schema.attributes() {
		if p.filter != nil && p.filter.Mentions(k.name) {
			return pageOutput{}, attribute.Invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", k.name)
		}
	}
	keys, err := p.table.schema.querySpan(tests)
	if err != nil {
		return pageOutput{}, err
	}
	if p.start != "" && !keys.holds(p.start) {
		return pageOutput{}, attribute.Invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	backwards := in.ScanIndexForward != nil && !*in.ScanIndexForward
	switch {
	case p.start != "" && backwards:
		keys.to = p.start
	case p.start != "":
		keys.from = after(p.start)
	}
	p.table.mu.RLock()
	defer p.table.mu.RUnlock()
	found := p.table.records.ascend(keys)
	if backwards {
		found = p.table.records.descend(keys)
	}
	return p.do(now, in.pageInput, keys.from, found)
}

type scanInput struct {
	pageInput
	Segment       *int
	TotalSegments *int
}

func (s *Server) scan(now time.Time, in scanInput) (pageOutput, error) {
	p, b, err := s.preparePage(in.pageInput)
	if err != nil {
		return pageOutput{}, err
	}
	if err := b.Unused(); err != nil {
		return pageOutput{}, err
	}
	keys, err := in.span()
	if err != nil {
		return pageOutput{}, err
	}
	if p.start != "" {
		if !keys.holds(p.start) {
			return pageOutput{}, attribute.Invalid("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: %d Segment: %d", *in.TotalSegments, *in.Segment)
		}
		keys.from = after(p.start)
	}
	p.table.mu.RLock()
	defer p.table.mu.RUnlock()
	return p.do(now, in.pageInput, "", p.table.records.ascend(keys))
}

// span returns the keys of the segment asked for, or all.
func (in scanInput) span() (span, error) {
	switch {
	case in.Segment == nil && in.TotalSegments == nil:
		return span{}, nil
	case in.Segment == nil:
		return span{}, attribute.Invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case in.TotalSegments == nil:
		return span{}, attribute.Invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case *in.TotalSegments < 1 || *in.TotalSegments > 1_000_000:
		return span{}, outOfRange(*in.TotalSegments, "totalSegments", "Member must have value from 1 to 1000000")
	case *in.Segment < 0 || *in.Segment >= *in.TotalSegments:
		return span{}, attribute.Invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", *in.Segment, *in.TotalSegments)
	}
	return hashSpan(segment(*in.Segment, *in.TotalSegments)), nil
}
