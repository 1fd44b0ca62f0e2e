// Package monitor watches supervisors from outside and says when one breaks a
// promise.
//
// It sees what a bystander sees: which calls of actions begin and end, and under
// which keys; what detectors answer; what a supervisor claims in its events; what
// providers receive; what people say and what they are answered; and what of a
// journal is on the disk when a life ends. It knows nothing of the state of the
// engine, and keeps books of its own by the rules of the design.
//
// # What outlives a life
//
// A crash may take back what was not durable, and nothing else. So everything
// that the monitor notes carries a mark: how many writes the supervisor had
// issued to its journal by then. When a life ends, the monitor forgets what lies
// beyond the last write that was acknowledged, and holds the next life to the
// rest.
//
// # Time
//
// Times are those of the machine's monotonic clock, which goes on while a process
// is dead. No wall clock appears here: whatever it does, it changes no bound.
//
// # Files
//
// monitor.go has the face, books.go what is noted, acts.go the checks when a call
// begins and ends, claims.go those of events, people.go what people said, lives.go
// what a crash may take, notices.go what providers got, rest.go what must hold when
// all faults have healed. invariant.go names the invariants.
//
// Only the simulator and tests may import this package.
package monitor
