// Package e2e tests Spate from the outside: the real binary, real processes, an installation of its own for each test.
//
// A test starts `spate sandbox`, any number of `spate serve`, and submits run files by `spate submit`. The sandbox
// starts the workers, as children of its own, when the controllers call RunTask. What a test asserts it observes as a
// user can: through the command line's JSON, and through AWS and Redis clients. Where there is a redis-server on PATH
// the view lives in it, else in the sandbox's Redis; each test logs which.
//
// harness_test.go starts and ends all that. When a test ends, so must everything in it: a process that is left, or a file
// in the directory for temporary ones, fails it.
package e2e
