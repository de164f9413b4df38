package expression

import (
	"slices"

	"spate/sandbox/dynamodb/attribute"
)

// Projection is a parsed ProjectionExpression.
type Projection struct{ root branch }

// branch is a tree of the projected paths: a branch without children takes the whole value.
type branch map[Step]branch

// ParseProjection parses a comma-separated list of paths.
func ParseProjection(text string, bindings *Bindings) (*Projection, error) {
	return parse("ProjectionExpression", text, bindings, func(p *parser) (*Projection, error) {
		for {
			if _, err := p.path(); err != nil {
				return nil, err
			}
			if !p.accept(",") {
				break
			}
		}
		if err := checkDisjoint(p.paths); err != nil {
			return nil, err
		}
		root := branch{}
		for _, path := range p.paths {
			at := root
			for _, step := range path {
				if at[step] == nil {
					at[step] = branch{}
				}
				at = at[step]
			}
		}
		return &Projection{root: root}, nil
	})
}

// Apply returns what the projection takes of an item. Elements taken of a list close up.
func (p *Projection) Apply(item attribute.Item) attribute.Item {
	taken, _ := p.root.take(item).(attribute.Item)
	if taken == nil {
		return attribute.Item{}
	}
	return taken
}

// take returns the projected part of v; nil when there is nothing in it to take.
func (b branch) take(v attribute.Value) attribute.Value {
	if len(b) == 0 {
		return v
	}
	switch v := v.(type) {
	case attribute.Item:
		out := make(attribute.Item, len(b))
		for step, child := range b {
			if found := step.into(v); found != nil {
				if part := child.take(found); part != nil {
					out[step.Name] = part
				}
			}
		}
		if len(out) > 0 {
			return out
		}
	case attribute.List:
		steps := make([]Step, 0, len(b))
		for step := range b {
			steps = append(steps, step)
		}
		slices.SortFunc(steps, func(a, b Step) int { return a.Index - b.Index })
		var out attribute.List
		for _, step := range steps {
			if found := step.into(v); found != nil {
				if part := b[step].take(found); part != nil {
					out = append(out, part)
				}
			}
		}
		if out != nil {
			return out
		}
	}
	return nil
}
