package dynamodb

import "spate/sandbox/dynamodb/attribute"

// Sizes of capacity units (Amazon DynamoDB developer guide, "Read and write operations").
const (
	readUnitBytes  = 4096
	writeUnitBytes = 1024
)

type consumedCapacity struct {
	TableName     string
	CapacityUnits float64
}

// capacity returns the units used, if the request asked for them.
func (r returnInput) capacity(tableName string, units float64) *consumedCapacity {
	if r.ReturnConsumedCapacity != "TOTAL" && r.ReturnConsumedCapacity != "INDEXES" {
		return nil
	}
	return &consumedCapacity{TableName: tableName, CapacityUnits: units}
}

// writeUnits counts the units of writing the larger of the two items, at least one.
func writeUnits(old, next attribute.Item) float64 {
	return max(1, units(max(old.ItemSize(), next.ItemSize()), writeUnitBytes))
}

// readUnits counts the units of reading so many bytes, at least one; half of them unless strongly consistent.
func readUnits(bytes int, consistent bool) float64 {
	n := max(1, units(bytes, readUnitBytes))
	if !consistent {
		n /= 2
	}
	return n
}

func units(bytes, size int) float64 { return float64((bytes + size - 1) / size) }

// tally adds up units by table.
type tally map[string]float64

// list returns the units by table, if the request asked for them.
func (t tally) list(ask returnInput) []consumedCapacity {
	var out []consumedCapacity
	for name, n := range t {
		if c := ask.capacity(name, n); c != nil {
			out = append(out, *c)
		}
	}
	return out
}
