// Package fault makes services fail on demand, and counts what they were asked.
//
// A [Rule] says which calls it is for, how many of them, and what happens to each. Rules are tried in the order in which
// they were added, and all that want a call apply to it. Whether a rule with a probability wants a call depends on its
// seed and on how many calls it has seen, never on the time: the same calls meet the same faults again.
//
// The generic kinds are played by [Injector.Wrap] around a service's handler, whatever the service: the call is refused
// before the service sees it, waits, or is served while its answer is lost. The others need the service's help, which
// asks with [Wanted] in the midst of its work: partial, duplicate and kill. A service also asks for work that no request
// causes, such as a bucket's notification, with [Injector.Decide].
//
// All is safe for concurrent use. The package knows the shapes of AWS's errors and nothing of the services' state.
package fault
