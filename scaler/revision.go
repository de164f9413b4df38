package scaler

import "strings"

// otherDefinition is how many of the pool's workers and unsettled tasks are of another task definition than the
// demand's; 0 while that is not known.
func (o *PoolObservation) otherDefinition() int {
	return others(o.Workers.ByDefinition, o.Demand.TaskDefinition) + others(o.UnsettledByDefinition, o.Demand.TaskDefinition)
}

// others adds up the counts of all definitions but one.
func others(counts map[string]int, one string) int {
	n := 0
	for definition, tasks := range counts {
		if !sameDefinition(definition, one) {
			n += tasks
		}
	}
	return n
}

// sameDefinition reports whether two names may be of one revision of a task definition. ECS takes ARNs,
// family:revision, and a family alone, which is any revision of it; what one name leaves out is not compared.
func sameDefinition(a, b string) bool {
	if a == "" || b == "" || a == b {
		return true
	}
	placeA, revisionA := cutDefinition(a)
	placeB, revisionB := cutDefinition(b)
	if placeA != "" && placeB != "" && placeA != placeB {
		return false
	}
	familyA, numberA, _ := strings.Cut(revisionA, ":")
	familyB, numberB, _ := strings.Cut(revisionB, ":")
	return familyA == familyB && (numberA == "" || numberB == "" || numberA == numberB)
}

// cutDefinition splits a task definition's name into where it is (partition, Region and account; "" when that is left
// out) and family:revision.
func cutDefinition(name string) (place, revision string) {
	if place, revision, ok := strings.Cut(name, "task-definition/"); ok {
		return place, revision
	}
	return "", name
}
