// Package world simulates machines on which supervisors live, and everything that
// befalls them, from one seed.
//
// The engine, the outbox and the journal are the real ones. What drives them in
// production with goroutines and timers is here a shell of events on a heap, in
// virtual time, with the same order of effects: records are durable before an
// action is called, the records of a notice before a provider is; a halt is in
// force in memory first, a resume on the disk first; a life begins with what the
// last one left, and makes engine and outbox agree.
//
// # The world
//
// Each machine has a disk that forgets what was not synced (package simfs), a
// monotonic clock with a rate of its own, a wall clock that people step, and one
// process at a time. Resources fall sick and get well, by themselves or because a
// step cures them; detectors tell, lie, hang or fail; actions are slow, hang, fail,
// panic, lie or harm; providers are down, slow, busy or refuse; disks are full,
// stall, fail or rot; people halt, silence, acknowledge and answer.
//
// Processes die by power cuts and kill -9 and are stopped for minutes. That is
// biased to the boundaries between effects (process.dangerous, every effect on the
// disk, and moments.go): faults at random times find little. Each seed draws its own mix.
//
// When the time of faults is over all of them heal, and everything must come to
// rest. A monitor (package monitor) watches all of it from outside.
//
// The same seed gives the same story, byte for byte. Nothing here ranges over a
// map where that could show.
//
// # What is not simulated
//
// Goroutines, locks and contexts: tests in virtual time and of real processes are
// for them. Fleets, gates, evidence, measures that several incidents share, memos,
// labels, quiet hours, playbooks that change between lives, and watches that come
// and go while a process runs: tests of the packages have them. A detector takes
// no resources, and a call that hangs holds nothing but itself.
//
// # Files
//
// timeline.go has the heap, chance.go the faults and their streams, config.go what
// a seed makes of a world, world.go a run, machine.go a machine, nature.go what
// befalls it, moments.go the worst moments for that, people.go what people say,
// provider.go where notices go. process.go, loop.go, looks.go, calls.go, mailer.go,
// ledger.go, write.go and shutdown.go are the shell of one process. story.go tells it,
// shrink.go makes it short.
//
// Only the command of the simulator and tests may import this package.
package world
