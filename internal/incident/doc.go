// Package incident is the engine: the life of every incident, and every rail,
// as one state machine without goroutines, locks, I/O or a clock.
//
// The shell stamps what happens with a time and hands it in as [Input]s; the
// engine answers with [Decision]s, which the shell carries out and whose
// results it hands in again. The same machine runs in production, in unit
// tests, in simulation and in a backtest: the same inputs give the same
// decisions, always.
//
// # Time
//
// An [At] is a time on the shell's monotonic clock since the engine was born.
// Wall-clock steps therefore change no bound. [Options.Epoch] turns it into a
// date for people, and nothing else.
//
// # Two phases of one instant
//
// [Engine.Step] takes in what has become known. Steps that compete with others
// (for a permit, a budget, an exclusive resource, a shared measure) or that
// wait for a cause do not start there but in [Engine.Arbitrate], which the
// shell calls once everything of this instant has been taken in. So the order
// of arrival within one instant decides nothing: the order of priority does.
// A Safe step that competes with nobody starts within Step.
//
// # Where things are
//
// types.go has the inputs, decisions and events; engine.go the dispatch and
// the timers; look.go what a look means for each incident; ladder.go the climb;
// verdict.go how a rung is judged; undo.go the measures; rails.go what holds;
// arbitrate.go who goes first; breaker.go, storm.go, flap.go and memory.go the
// rails that remember; people.go what people say; tell.go what they are told;
// snapshot.go what Status shows.
//
// Only the root package, the simulator and tests may import this package.
package incident
