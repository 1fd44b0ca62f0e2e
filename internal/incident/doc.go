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
// types.go has the inputs, decisions and events; engine.go the dispatch,
// timers.go and moments.go what happens without an input. look.go says what a
// look means for each incident, life.go how one opens and closes, ladder.go how
// it climbs, verdict.go and samples.go how a rung is judged, undo.go how
// measures are put back, leave.go how everything ends, shadow.go what is only
// written down. rails.go says what holds, hold.go what a hold entails,
// arbitrate.go who goes first; breaker.go, storm.go, tilt.go, flap.go and
// memory.go are the rails that remember, abandon.go is about calls that ignore
// their context. people.go takes in what people say, tell.go what they are told;
// snapshot.go is what Status shows. record.go and saved.go are what outlives a
// life, restore.go, orphan.go, lives.go and agree.go how the next one takes it up.
//
// The tests play a world around the engine (world_test.go) under a monitor that
// keeps books of its own (monitor_test.go): scripts by hand with exact timelines,
// and random ones (script_test.go) that every planted bug of mutants.go must
// fail.
//
// Only the root package, the simulator and tests may import this package.
package incident
