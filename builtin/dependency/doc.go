// Package dependency keeps a service standing beside a dependency that fails.
//
// # What is watched
//
// A [Target] is a dependency. It is probed by HTTP, by TCP or by any
// func(ctx) error, such as a health check that exists already; it is judged by
// failures in a row or by phi-accrual; and where calls go through a [Client], its
// breaker counts as a sign too. The watches of [Module]:
//
//	down      the target does not answer, or its breaker tripped: one finding a
//	          target, with how many others are down and what the peers see
//	degraded  many calls fail or are slow, and the breaker still holds
//	relapse   the target fell down again twice while its callers returned
//
// # What is done
//
// First, and without any supervisor, each [Client] looks after itself. Its breaker
// trips by the share of calls that failed, are slow or hang within a sliding
// window, refuses calls or serves degraded, lets one call at a time through to try,
// and lets callers back in a ramp. All callers share one budget of retries. No rail
// holds this back, since it makes the process do less.
//
// Then the ladder of down is climbed:
//
//	break            all callers of a target whose probe fails are refused, or
//	                 served degraded, before each of them has to find out
//	cut-concurrency  few calls at once, so that those that hang hold few callers
//	stop-retries     not even the budget
//	unready          leave the balancer, if the fault is only here (optional)
//	wait             time for the dependency, with all this in force
//
// None of it heals the dependency; it keeps this process useful and gives the
// dependency room. When the finding clears, the measures are undone in reverse
// order. What comes back comes back slowly: after break one call, then a growing
// share; after a cut, more and more beyond the limit.
//
// # Never
//
// There is no step that restarts this process because something else is down, and
// none that fails its liveness. Nothing reconnects in step: pauses are drawn from
// their whole range (full jitter), ramps differ in length, and neither can be
// turned off. No ramp is cut short because "it is back". Nothing touches the
// dependency or the peers; unready, the one step that reaches further than this
// process, needs a fleet to grant it and witnesses to say that the fault is here.
//
// Whoever opens connections dials through [Client.Dialer]: few at once, in the same
// ramp, and what nobody waits for any more is not dialled.
//
// # When a person is called
//
// When a target has been down for PageAfter (10 min) with every measure in force,
// at once at the second relapse, and when calls have been degraded for 5 min. If
// many targets fail at once, or the supervisor itself is late, the rails hold the
// ladder and say so: then it is more likely this process that is sick. A client
// that was starved itself drops its readings.
//
// # Costs
//
// A call through a closed client costs about 20 ns and no allocation
// (benchmarks/breakers has it beside other libraries). A look reads one window a
// client, in microseconds, and probes its targets at once, 16 at a time; a
// goroutine that a check keeps for itself is kept once, not once a look.
//
// Everything here is safe for concurrent use and starts no goroutine that
// outlives its call, a check that ignores its context aside.
package dependency
