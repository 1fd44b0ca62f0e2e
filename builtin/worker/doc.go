// Package worker keeps the long-running functions of a service running, and heals
// those that fail or get stuck.
//
// A [Group] is the supervisor of some workers, in the way of OTP: it restarts one
// that failed or panicked, with a pause that grows and a bound after which it gives
// up. It works alone, and drops into an errgroup:
//
//	g := worker.NewGroup(worker.GroupOptions{})
//	g.Add(worker.Spec{Name: "mailer", Run: mailer, Budget: 30 * time.Second})
//	eg.Go(func() error { return g.Run(ctx) })
//
// [Module] puts it under the eyes of a selfheal supervisor, which sees what a
// group cannot cure by restarting, and calls people:
//
//	heal.Install(worker.Module(worker.Options{Groups: []*worker.Group{g}}))
//
// # What is watched
//
// Watch "crash" (GO-7 of the catalogue): a worker that failed, until it has been up
// for a while, and one that was given up. Ladder: leave it to the group; start it
// and what depends on it once more; put the input aside, where the application
// says how; recycle the process, where asked for; a person.
//
// Watch "stuck" (GO-6): a worker that is silent for three of its budgets, or has
// not returned long after its context ended. Its stack is looked at once a budget,
// so that the finding names the place and says whether it moves. Ladder: end its
// context and restart it; give up on the run and start another beside it, three
// times at most; recycle; a person, at once where the cap is reached or where it
// hangs in the operating system.
//
// # Never
//
// Workers are not replaced without a bound. No lock is opened from outside. Restarts
// are counted in one place, the group: what a step restarts after the group gave
// up has one trial and no fresh count. What a person put into quarantine no step
// starts again. No worker waits in a pause because another failed.
//
// A worker that panicked may leave torn what it shares with others. Where it
// shares more than it can check at its start, use the strategy OneForAll, or make
// it Essential with Intensity so small that the process is replaced instead.
// How often the whole process died is not counted here: that is the supervisor's
// safe mode, which needs a journal.
//
// # Cost
//
// A worker costs a goroutine and some 500 bytes. A beat costs a few nanoseconds, a
// restart a few hundred bytes. A look costs one pass over the workers that have a
// budget, and nothing for those that have none and are well; it allocates nothing
// while all are. Stacks are looked at only when a worker is silent, never above
// 100,000 goroutines unasked, and at a distance of a hundred times what it took.
//
// Goroutines of workers bear the profiler label "selfheal_worker".
//
// # Who may enter
//
// What supervises functions of this process, with the standard library alone.
// Processes, containers and machines have supervisors of their own.
package worker
