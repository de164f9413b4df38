// Package mutation shows that no limit of the sandbox is modelled in vain: it takes each away in turn, and the test that
// names it must fail. `make mutate` does so and prints the table; the ordinary tests only check that the table is true to
// the code, so that it does not rot.
//
// Of the output cache, `make mutate-cache` takes each precaution away and counts the random histories that miss it.
//
// The tree is not touched: a changed file is laid over the original with go test's -overlay.
package mutation
