package job

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// graph is what each job needs, by number; a number beyond the jobs is a parent that does not exist.
type graph [][]int

func (g graph) id(i int) string { return fmt.Sprintf("job-%d", i) }

// check gives the graph's jobs to a Checker.
func (g graph) check() ([]int32, *Errors) {
	errs := &Errors{}
	c := NewChecker("f", nil, errs)
	for i, parents := range g {
		s := Spec{ID: g.id(i), Task: "t", Needs: map[string]Need{}}
		for k, p := range parents {
			s.Needs[fmt.Sprintf("n%d", k)] = Need{Job: g.id(p)}
		}
		c.Add(s, nil)
	}
	return c.Finish(), errs
}

// onACycle is the slow oracle: can a job be reached from itself?
func (g graph) onACycle(start int) bool {
	seen := map[int]bool{}
	var visit func(i int) bool
	visit = func(i int) bool {
		for _, p := range g[i] {
			if p == start {
				return true
			}
			if p < len(g) && !seen[p] {
				seen[p] = true
				if visit(p) {
					return true
				}
			}
		}
		return false
	}
	return visit(start)
}

func drawGraph(t *rapid.T) graph {
	n := rapid.IntRange(1, 12).Draw(t, "jobs")
	most := n - 1
	if rapid.Bool().Draw(t, "orphans") {
		most = n
	}
	return rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, most), 0, 3), n, n).Draw(t, "needs")
}

func TestACycleIsReportedExactlyWhereThereIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		_, errs := g.check()
		cyclic, orphans := false, 0
		for i, parents := range g {
			cyclic = cyclic || g.onACycle(i)
			for _, p := range parents {
				if p >= len(g) {
					orphans++
				}
			}
		}
		reported, missing := false, 0
		for _, err := range errs.List {
			switch {
			case strings.Contains(err.Message, "which no job of this run is called"):
				missing++
			case strings.Contains(err.Message, "needs itself"):
				reported = true
			default:
				reported = true
				g.mustHave(t, err.Message)
			}
		}
		if reported != cyclic {
			t.Fatalf("a cycle was reported: %t, there is one: %t\n%v", reported, cyclic, errs)
		}
		if missing != orphans {
			t.Fatalf("%d unknown parents were reported, there are %d", missing, orphans)
		}
	})
}

// mustHave checks that each job of a reported circle needs the next, and that it ends where it began.
func (g graph) mustHave(t *rapid.T, message string) {
	_, circle, ok := strings.Cut(message, "jobs wait for each other: ")
	if !ok {
		t.Fatalf("what is this? %s", message)
	}
	ids := strings.Split(circle, " → ")
	if len(ids) < 3 || ids[0] != ids[len(ids)-1] {
		t.Fatalf("no circle: %s", circle)
	}
	for i := 1; i < len(ids); i++ {
		var from, to int
		if _, err := fmt.Sscanf(ids[i-1]+" "+ids[i], "job-%d job-%d", &from, &to); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(g[from], to) {
			t.Fatalf("%s does not need %s: %s", ids[i-1], ids[i], circle)
		}
	}
}

func TestParentsComeBeforeChildren(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		for i := range g { // no circles, no orphans: a job needs only what has a smaller rank
			g[i] = slices.DeleteFunc(g[i], func(p int) bool { return p >= len(g) || (p*7)%13 >= (i*7)%13 })
		}
		order, errs := g.check()
		if err := errs.Err(); err != nil {
			t.Fatal(err)
		}
		place := make([]int, len(g))
		for i := range place {
			place[i] = -1
		}
		for at, i := range order {
			place[i] = at
		}
		if len(order) != len(g) || slices.Contains(place, -1) {
			t.Fatalf("the order %v does not have each of %d jobs once", order, len(g))
		}
		for i, parents := range g {
			for _, p := range parents {
				if place[p] > place[i] {
					t.Fatalf("%d stands before its parent %d in %v", i, p, order)
				}
			}
		}
	})
}

func TestJobsWithoutNeedsStayAsTheyWereAdded(t *testing.T) {
	order, errs := graph{{}, {3}, {}, {}, {1}}.check()
	if want := []int32{0, 3, 1, 2, 4}; !slices.Equal(order, want) || errs.Len() > 0 {
		t.Errorf("got %v, %v, want %v", order, errs.Err(), want)
	}
}

func TestAChainAsLongAsTheRunIsNoTroubleNorIsItsEveryJobNeedingTheLast(t *testing.T) {
	const n = 100_000
	g := make(graph, n)
	for i := range n - 1 {
		g[i] = []int{i + 1}
	}
	order, errs := g.check()
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	if len(order) != n || order[0] != n-1 || order[n-1] != 0 {
		t.Errorf("order of %d jobs from %d to %d", len(order), order[0], order[len(order)-1])
	}
	for i := 2; i < n; i++ { // a circle for each job
		g[i] = append(g[i], 0)
	}
	_, errs = g.check()
	if got, want := errs.Len(), n-2; got != want || len(errs.List) != MaxErrors {
		t.Errorf("%d circles, %d kept, want %d, %d", got, len(errs.List), want, MaxErrors)
	}
}

func TestErrorsAreSortedWithinTheirFile(t *testing.T) {
	errs := &Errors{}
	for _, e := range []Error{
		{"b.yaml", 3, 1, "third"},
		{"a.yaml", 2, 0, "fourth"},
		{"b.yaml", 2, 9, "first"},
		{"b.yaml", 3, 1, "still third"},
		{"b.yaml", 0, 0, "zeroth"},
		{"a.yaml", 1, 1, "before the fourth"},
		{"", 0, 0, "placeless"},
		{"b.yaml", 2, 10, "second"},
	} {
		errs.Add(&e)
	}
	const want = `b.yaml: zeroth
b.yaml:2:9: first
b.yaml:2:10: second
b.yaml:3:1: third
b.yaml:3:1: still third
a.yaml:1:1: before the fourth
a.yaml:2: fourth
placeless`
	if got := errs.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if first := errs.List[0].Message; first != "third" {
		t.Errorf("printing has sorted the list itself: %s", first)
	}
	if err := errs.Err(); err == nil || errs.List[0].Message != "zeroth" {
		t.Errorf("Err has not sorted the list: %v", errs.List[0])
	}
}

func TestErrorsOfSeveralFilesAreMerged(t *testing.T) {
	all := &Errors{}
	all.Merge(nil)
	all.Merge((&Errors{}).Err())
	if err := all.Err(); err != nil {
		t.Errorf("no errors: %v", err)
	}
	many := &Errors{Omitted: 2}
	many.Add(&Error{"a", 1, 1, "x"})
	all.Merge(fmt.Errorf("read a: %w", many))
	all.Merge(fmt.Errorf("read b: %w", &Error{"b", 1, 1, "y"}))
	all.Merge(fmt.Errorf("something else"))
	if got, want := all.Error(), "a:1:1: x\nb:1:1: y\nsomething else\nand 2 more"; got != want || all.Len() != 5 {
		t.Errorf("got %d errors\n%s\nwant 5\n%s", all.Len(), got, want)
	}
}
