package dynamodb

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRecordsAgreeWithASortedMap(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var list records
		model := make(map[string]*record)
		base := rapid.SampledFrom([]int{0, 400, 1500}).Draw(r, "base")
		for i := range base { // in order, so that chunks fill
			rec := &record{key: fmt.Sprintf("%05d", i*7), size: 1}
			list.put(rec)
			model[rec.key] = rec
		}
		key := rapid.Custom(func(r *rapid.T) string { return fmt.Sprintf("%05d", rapid.IntRange(0, 11_000).Draw(r, "key")) })
		for range rapid.IntRange(0, 300).Draw(r, "steps") {
			k := key.Draw(r, "k")
			if rapid.Bool().Draw(r, "remove") {
				list.remove(k)
				delete(model, k)
			} else {
				rec := &record{key: k, size: 2}
				list.put(rec)
				model[k] = rec
			}
		}
		want := slices.Sorted(maps.Keys(model))
		s := span{from: key.Draw(r, "from"), to: key.Draw(r, "to")}
		if rapid.Bool().Draw(r, "open") {
			s.to = ""
		}
		want = slices.DeleteFunc(want, func(k string) bool { return !s.holds(k) })
		var up, down []string
		for rec := range list.ascend(s) {
			up = append(up, rec.key)
		}
		for rec := range list.descend(s) {
			down = append(down, rec.key)
		}
		slices.Reverse(down)
		if !slices.Equal(up, want) || !slices.Equal(down, want) {
			r.Fatalf("span %v: ascending %v, descending reversed %v, want %v", s, up, down, want)
		}
		bytes := 0
		for k, rec := range model {
			bytes += rec.size
			if list.get(k) != rec {
				r.Fatalf("get %s: not the record put last", k)
			}
		}
		if list.count != len(model) || list.bytes != bytes {
			r.Fatalf("count %d, bytes %d, want %d, %d", list.count, list.bytes, len(model), bytes)
		}
	})
}
