// Package scaler decides how many workers each pool should have and launches them on Fargate, each of them once.
//
// A tick goes observe → plan → intent → RunTask → outcome. [Plan] is pure: from the demand, the workers seen, the
// launches under way and what the account has left (launch rate, vCPUs, network interfaces, budget) it says for every pool
// at once what to launch, and why not more. What is unknown or too old holds a pool; it never counts as zero. Workers leave by themselves; only those of a pool that people
// want killed are stopped. What people want of a pool is a [Control], desired state that is read once a second.
// Those of another task definition than the demand's, as after a deployment, count against the maxima only.
//
// Every RunTask request is an [Intent], written to the [Journal] whole and under the leader's term before the call:
//
//	Open → Open (throttled or ambiguous: the identical request again) | Answered | Refused | Unsettled (10 minutes old)
//	Unsettled → Answered | Refused, by asking ECS which tasks the intent started
//	Answered → Closed, once each of its tasks has been seen or is declared vanished
//	Open, Unsettled → Refused, when the stored request cannot be read
//	Open → Refused, when it is not wanted any more and was not sent, or throttled each time
//
// The intent's id is the request's clientToken, which excludes that a repeated request launches twice; the lease only
// excludes double work. An intent without an answer counts as launched. HTTP 200 ends a request: what it did not launch
// is a new intent of a later tick.
//
// Failure modes: a throttled call is repeated, and when it is throttled again its provider slows down to what was granted
// (a [Pace]); a provider or a subnet without room is left alone, for longer each time, while the pool's others are used; a [Breaker] stops a pool whose launches fail in a way that more
// of them would not mend (a crash loop, a wrong configuration, a quota), with ECS's own sentence, until a trial succeeds:
//
//	open → half-open (a trial is launched) → gone | open, for longer
//
// A listing, a description or a queue's depth that fails ages until the pool holds; task events that fail only make
// looks more frequent; a journal that cannot be written launches nothing. A controller killed at any moment leaves its intents to the next one.
//
// The [Engine] is all of this without clock, goroutines and I/O; a [Scaler] drives it by the clock and gives it hands on
// the account. Whatever takes time is asked of the hands and comes back as a call of the engine.
//
// Files: observation, policy, plan, sizing, supply, allot, reason, decision, controls, revision, pace, probe, shortage, room,
// intent, fleet, startup, depth, stop, crash and breaker are pure; engine holds the state, tick, calls, withdraw, watch, inquiry, events,
// drift and obey are what it does with it; loop, hands, eventqueue, depths, journal and levers are the shell. Neighbours: controller supplies the demand (from planner), the
// term (from internal/lease) and the clients; internal/awsclient says what errors mean.
package scaler
