// Package selfheal heals a service from inside: it detects trouble, fixes it
// step by step, proves the fix, undoes temporary measures, and calls a person,
// with the diagnosis already done, when code could not help.
//
// # The loop
//
// A [Watch] puts together what is watched, what is tried and who is told:
//
//	detect     a detect.Detector judges one aspect of the service. It reports a
//	           level, not an edge: a detect.Finding for each key that is sick now.
//	confirm    a finding that lasts (Watch.For) opens an incident of its key.
//	permit     every rail is asked: may anything be done now? If not, the
//	           incident is held, and Status says by which rail and why.
//	capture    before the first step, and before each above Safe, evidence is kept
//	           of what a step may change.
//	act        the next remediate.Step of the playbook runs.
//	settle     the fix is given the time that it needs to show.
//	verify     the detector is asked again. Healed, or the next rung.
//	undo       once the key has been well for Watch.KeepFor, temporary measures
//	           are put back in reverse order, and the incident closes.
//	escalate   where the ladder ends without a cure, or a rail says so, an
//	           escalate.Policy tells people what was seen and what was tried, and
//	           tells them too when it is over.
//
// A [Supervisor] runs the loop for all watches. Make it with [New], add watches
// with [Supervisor.Watch] and [Supervisor.Install], and give [Supervisor.Run] the
// context of the service:
//
//	heal := selfheal.New(selfheal.Options{Escalate: escalate.To(pager)})
//	heal.Watch(queue.Healing(), worker.Healing())
//	g.Go(func() error { return heal.Run(ctx) })
//
// # Do no harm
//
// A healer that errs does more harm than the fault, so every rail is on by
// default: one step above Safe at a time, 30 an hour, a cooldown between
// incidents of one key, a breaker for ladders that keep failing, a stop where a
// fix only hides a bug, where many are sick at once, where the supervisor itself
// is late, and where a person says halt. A detector that fails is blind: neither
// healthy nor sick, and never a reason to act. STABILITY.md and the documentation
// of [remediate.Rail] have the list.
//
// # What it promises its host
//
// A healthy service does not notice it: a look that finds nothing costs the
// detector's own call and little more, and allocates nothing. Code that is given
// to it is never trusted: each call has a time-out and a context that really ends
// then, panics are recovered, and what ignores its context is abandoned, counted
// and shown; it delays nobody. A panic on a goroutine that such code starts itself
// cannot be recovered by anybody else. All methods may be called from every
// callback. Wiring mistakes never panic: [Supervisor.Validate] returns all of
// them at once, and Run starts the sound watches.
//
// # What is seen of it
//
// [Supervisor.Handler] serves a console for people and JSON for programs, of which
// cmd/selfheal is one. [Supervisor.Collector] has metrics, [Options].Tracer gets one
// trace an incident, [Options].Observer every event. [Options].Journal keeps across a
// crash what must not be forgotten, and is the record of who did what.
//
// # Time
//
// The supervisor takes its time from package time, and measures durations on the
// monotonic clock. In a bubble of testing/synctest it runs in virtual time:
// package selfhealtest tests hours of an incident in a millisecond, through the
// same code that runs in production.
//
// # Rooms
//
// Package detect finds, package remediate repairs, package escalate tells, package
// evidence keeps what was so before. Imports run in that order and never back. This
// package joins them; internal/incident is its engine, a pure state machine. What is
// ready to install lies under builtin, and package watchdog looks from outside.
package selfheal
