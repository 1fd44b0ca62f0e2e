// Package goruntime watches the Go runtime of its own process: goroutines that
// never end, memory against its limit, a garbage collector that eats the CPU,
// contention for locks, starvation of the scheduler, and threads.
//
//	heal.Install(goruntime.Module(goruntime.Options{Caches: &caches}))
//
// # What is watched and what is done
//
//	goroutine-leak   a site whose goroutines only grow in number, or that the
//	                 runtime proves leaked. Options.StopLeak; at 10,000 goroutines
//	                 of one site, under a key of its own, a recycle.
//	memory           GOMEMLIMIT or the control group (v1, v2), whichever is nearer.
//	                 Shrink caches, Options.Relief, one FreeOSMemory, raise
//	                 GOMEMLIMIT for a time into what the group has left, recycle.
//	gc-spiral        the collector's share of the CPU, and its limiter. Options.Relief,
//	                 shrink caches, raise GOMEMLIMIT for a time, recycle.
//	lock-contention  time waited for mutexes against what is usual. Options.Relief.
//	starvation       time from runnable to running. Options.Relief.
//	threads          threads against the runtime's bound and pids.max. Recycle.
//
// All but the leak have two thresholds: on the early one, under the key [Early], a
// ladder does only what is Safe; on the other, under the key "", it climbs. Where a
// ladder ends without a cure people are called, with the evidence that the supervisor
// captured.
//
// # Never
//
// The limit is never turned off nor raised above what the control group has left,
// collections are never forced in a loop, no profiling rate is changed, starvation
// and contention never restart the process, and no restart happens without its
// stacks in the log. [Recycle] itself is bounded by the supervisor.
//
// # Leaks: proven and suspected
//
// A [LeakDetector] reads two numbers each look. While the lower envelope of the
// count of goroutines rises, through windows of 3 s to 13 min, it groups goroutines
// by site and asks whose count rises with it. A site that does so all the time, in
// each third of 15 windows and not slowing down, then and one window later, is
// suspected, unless goroutines are created faster in the same measure: then more is
// asked of the process, and they live no longer than before. A burst, a pool that
// shrinks again and a rise that slows down or ends within 14 windows (42 s for the
// shortest) leave no trace. A rise that lasts longer and then stays is suspected
// meanwhile, and cleared later: from outside nothing tells it from a leak until it
// ends. A site that was cleared must exceed what it had then to be suspected again,
// so that a pool that follows the load is suspected once and not every day. The
// watch suspects only 100 goroutines and more (Options.Leak).
//
// TestRecallAndFalseAlarms measures both on real goroutines, for hours of a clock
// that is set, and prints a table: 19 kinds of leaks, alone and amid traffic, are all
// found, at one leak a second in about a minute and at one a minute within an hour
// (amid traffic and unproven, 4 h); no healthy program was ever called proven, and
// what the watch suspected for a while were ramps of minutes to hours.
//
// A leak is proven by the runtime's own profile, which finds goroutines that wait
// for what nothing else can reach. It is there with Go 1.27, and with 1.26 in
// programs built with GOEXPERIMENT=goroutineleakprofile. The detector runs it some
// seconds after it began, at doubling distance after that, and soon where the count
// rises; a proof counts when a second run confirms it. It cannot see goroutines that
// sleep, loop, do I/O or wait for something reachable: those are only suspected.
// A goroutine that waits in select {} was meant to; main never counts, and a site of
// such goroutines only once MinGrowth of them were added.
//
// # The site
//
// What created a goroutine is known to the runtime, but it tells so only while it
// stops the world to print every stack. The site is therefore what a goroutine runs:
// the outermost function of the program's own in its stack (that of sync.WaitGroup.Go
// or errgroup is passed over), with the line at which it is entered, which is the go
// statement for function literals and mostly for calls with arguments, and else the
// function's declaration. Stacks deeper than 32 calls are cut by the runtime while
// grouping; their site is the outermost call that is left.
//
// # Costs
//
// Measured on two shared cores with Go 1.26 and 10,000 goroutines: a look of every
// watch together costs 25 µs (two thirds of it the files of the control group) and
// allocates nothing while all is well, whatever the number of goroutines. Grouping
// takes 10 to 15 ms of CPU and stops the world for 0.4 to 1.2 ms; a proof takes 20 ms
// and stops it for 2.5 to 3 ms in several pauses, more with a large heap, and where
// leaked goroutines hold each other in a long chain there is one pause for each link.
// With other programs on the cores stops grow, as the machine takes a processor away
// from whoever stops the others. Both are measured with the runtime's own counters
// each time, and spaced so that stops stay below 0.1 % of the time and CPU below
// 0.4 % of a core (LeakOptions.StopShare and CPUShare). What a call costs is only
// known afterwards; a surprise is paid for by waiting.
//
// The files of control groups are kept open and read in place. Elsewhere than on
// Linux there are none, and GOMEMLIMIT and the runtime's bound of threads remain.
package goruntime
