// Package schedule runs all checks of a supervisor: one scheduler for all
// watches, no goroutine and no ticker of their own. It knows tasks and moments,
// nothing of findings or incidents. The root package is its only user.
//
// # What it promises
//
//   - A task is looked at once when it starts, then at start + phase + k × Every,
//     where start is the start of Run: exactly, when the phase is given; when it
//     comes from the name and Every does not fit the raster, rounded up to 10 ms.
//   - A check never overlaps itself. Periods that come due meanwhile are skipped.
//   - Wake and LookAt are not: one that falls into a run is followed by exactly
//     one more run. Any number of wishes before a run begins are one run.
//   - A check that hangs keeps its goroutine to itself and delays no other by
//     more than the budget of 5 ms, once; from then on it is known to be slow.
//     It is reported at its timeout, once for each run.
//   - The healthy path allocates nothing and takes no lock for a single check.
//   - With nothing due, nothing runs: one timer, set to the next moment.
//   - After Run only abandoned runs are left.
//
// # Where a task is
//
// Each task is in exactly one place, and there once: in a slot of the wheel, in
// one of the three queues, or in the block that a worker holds. Therefore a
// period, a Wake and a LookAt that coincide are one run without anybody
// comparing moments. Task.block and Task.index name the place, so Wake and Remove
// take a task out at once and its memory is free as soon as Remove returns (or,
// for the one that runs, as soon as it ends).
//
//	          insert                advance               hand
//	settle ───────────► wheel ─────────────────► ready ─┐
//	  ▲   └─ again ──┐     │ summon (Wake, LookAt)      ├──► worker: 31 checks
//	  │              └─────┴────────────────────► wakes ┘        │
//	  │                    └─ known to be slow ─► slow ────► worker: 1 check
//	  └──────────────────────────────────────────────────────────┘
//
// The wheel has 1024 near slots of 10 ms and 256 far slots of 5 s, whose blocks
// are spread over the near ones in portions before they come due. A slot is a
// list of blocks of 31 entries {moment, task}. A slot that is due as a whole goes
// to its queue as a whole, without touching a task; one that is due in part is
// sorted, which is how moments stay exact although slots are wide. A bitmap finds
// the next slot that is not empty. LookAt's moments lie in a heap of their own.
//
// # Who runs
//
// There is no loop and no leader. The timer's firing starts a goroutine (fire);
// if checks are due and no worker is at it, that goroutine becomes a worker: it
// takes a block, runs its checks, files them under their next moments, takes the
// next block, and ends when nothing is due. Whoever leaves sets the timer. Wake
// does the same from its caller's side. So nothing has to be replaced when a
// check takes its goroutine with it: the timer was set before the check began.
//
// That timer is the watchdog too. While a worker holds a block, it is set to at
// most the budget ahead; while a slow check runs, to its deadline. It is set once
// for each busy spell, not for each run.
//
// A worker publishes, with one compare-and-swap for each check, when the check
// started and which entry of the block it is (worker.word). inspect reads it:
//
//   - at one check for the budget: the worker is relieved. inspect adds wordTaken,
//     so that the worker's next swap fails; files the finished entries; gives each
//     entry not begun a goroutine of its own; and starts twice as many other
//     workers as it found blocked. A thousand checks that block at once are
//     through after about ten rounds.
//   - past its timeout: its context is cancelled, it stops counting against
//     MaxChecks, and Hung is called.
//   - wordEnded means that the worker waits for the mutex with what it did.
//
// A check that took a millisecond or more is slow: its next run gets a goroutine
// of its own at once, and a quick one brings it back. First looks count as slow.
// Slow ones leave one of the MaxChecks goroutines to the quick ones.
//
// # The state word of a task
//
//	woken   asked for and not begun
//	begun   a run began, and its block was not settled yet
//	again   asked for since then
//	removed no run may begin
//
// A worker begins a run with one swap: woken off, begun on, unless removed. A
// Wake that finds woken or again has nothing to do; one that finds begun adds
// again; else it adds woken and, under the mutex, brings the task forward, unless
// a worker holds it: then that worker has not begun it and is about to. Settling
// takes begun and again away in one step, so no wish falls between.
//
// begun outlives the run by the rest of the block: microseconds, or the budget if
// a later entry blocks. A Wake in that time leads to one more run, which is right
// (the reading was before the wake), and Running says true, which is safe.
//
// # Locks
//
// Scheduler.mu guards all but Task.state, worker.word and worker.ctx. It is held
// for microseconds, is taken once a block, and no foreign code runs under it:
// Run, Hung, Late, Stepped, Abandoned and Warm are all called without it.
// runContext.mu is innermost. In a bubble of testing/synctest nobody ever waits
// for either across a blocking call, so virtual time goes on.
//
// # Contexts
//
// A worker lends one context to run after run, as long as nobody asks it for its
// end. See runContext.
//
// # A sick scheduler
//
// Each firing is compared with the moment it was set for. When it is more than a
// second late, Late is called first, and what outlived its timeout meanwhile is
// reported only by the next firing: it was starved like us. Each firing also
// compares the wall clock with the monotonic one; Stepped gets the difference. No
// moment depends on the wall clock.
//
// # What it costs
//
// BenchmarkWatches and BenchmarkHealthyCheck measure it, beside a ticker for each
// watch. At a million tasks most of the cost of a check are cache misses, hence
// worker.fetch, Options.Warm, and the order of the fields of Task: the first 64
// bytes are all that a healthy run touches. Put the task first in a struct whose
// size is a multiple of 64.
package schedule
