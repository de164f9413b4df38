//go:build !race

package controller

// raceEnabled makes the largest tests smaller, which the race detector slows down most.
const raceEnabled = false
