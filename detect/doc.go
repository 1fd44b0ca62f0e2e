// Package detect answers one question: is something wrong?
//
// A [Detector] judges one aspect of a service and returns a [Finding] for each
// key that is sick now. It says what is, not what changed: whoever asks again
// gets the whole answer again, so a lost answer costs one look and nothing else.
// What to do about a finding is no business of this package; nothing in here
// acts, waits, logs or starts a goroutine.
//
// # Three answers
//
// Healthy is nil, nil. Sick is one finding a key. Blind is an error: the
// detector could not tell, which is neither healthy nor sick and never a reason
// to act. Findings that come beside an error are believed; the keys that they
// do not name are unknown. Every detector here keeps these apart: a reading that
// failed, or that is NaN or infinite, leaves what was known before as it was.
//
// # Which one
//
//   - [Above] and [Below] compare one number with a limit, with hysteresis;
//     [Keyed] does so for many keys at once.
//   - [Probe] turns a health check into a detector.
//   - [Heartbeat] finds a worker that stopped beating, by a fixed budget;
//     [PhiAccrual] learns the usual gap and needs no budget.
//   - [Exhaustion] finds what will be full soon, [Rate] a counter that grows too
//     fast, [BurnRate] an error budget that will not last.
//   - [Any], [All] and [Confirm] build detectors from detectors.
//   - [NewMailbox] lets code that already knows report what it knows.
//   - [Func] is for everything else.
//
// # Rules of the room
//
// Every detector of this package is safe for concurrent use once it is set up,
// holds no lock while it calls code that was given to it, and allocates nothing
// while it is healthy. What Detect returned is not changed afterwards, and as
// long as nothing changes the same slice may be returned again: it is there to
// be read; copy what is to be changed. A panic of a given function passes
// through: the supervisor recovers it, names the watch and keeps the stack.
//
// Time is that of package time, monotonic, and taken when it is needed; inside
// a testing/synctest bubble the detectors run in virtual time.
//
// A detector that was put together wrongly never panics. Validate says what to
// change, all of it at once, and Detect is blind with the same error.
//
// # Who may enter
//
// Whoever judges by numbers, errors or silence, with the standard library alone.
// Detectors that need a vendor client live in a module of their own, those that
// ask existing monitoring in a folder below this one.
package detect
