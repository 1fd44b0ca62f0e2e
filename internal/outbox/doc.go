// Package outbox stands between escalation policies and notifiers: it decides
// who is told what and when, tries until it is delivered, tells somebody else
// where it cannot be, and says so when nobody is left.
//
// A [Machine] decides. Like the machine of incidents it is pure: inputs with a
// time go in, effects come out, and one script always has one result. It keeps
// an entry for each dedup key from its first telling until its last resolve is
// delivered. An entry knows the levels of its plan and has a lane for each of
// its targets, in which owed notifications arrive in order, each under one id
// however often it is tried. A target is called for one lane at a time: the
// most urgent of those that wait, no more often than its rate allows, and not
// while it asks to be left alone or its breaker is open.
//
// What it promises, and its tests check:
//
//   - What was handed to a target is delivered, reported as [Undeliverable],
//     reported as [Superseded] by a later notification that says as much, or
//     reported as [Grouped] and then what becomes of the grouped notice.
//   - Whoever was handed a call is told when it is over, and nobody else. Whoever
//     was not reached in between gets one notice that says both.
//   - Where a target refuses for good, does not answer, or has not taken a call
//     for long, the next target of its level is told so, else the next level is
//     told at once. Where nobody is left the key is undeliverable, and is tried
//     on; a target that is back is told of what it missed.
//   - An acknowledgement stops levels and repeats until it runs out, a snooze
//     everything but the resolve, quiet hours everything but what is critical.
//     What began and ended in quiet hours is one digest.
//   - However many keys come at once, a target gets three notices in the first
//     minute. A key that a provider was given is resolved under that key.
//   - Its memory is bounded, and empty when everything is over and delivered.
//   - Every [Send] comes after the [Record] of what it depends on. A machine that
//     is restored from any prefix of the records forgets nothing that was sent,
//     and sends nothing of it under another id. What a life knows of its targets
//     (breakers, rates, Retry-After) is learnt anew.
//
// A [Driver] does what the machine decides: it keeps records in a [Store], calls
// targets once that is done, each under a deadline, and feeds the results back.
//
// The files: machine, input, effect and snapshot are its face; entry, pause and
// levels one key; lane, send, target and fallback the way to one target; storm,
// group and digest what is told together; record and restore what outlives the
// process; driver, call and store the goroutines.
package outbox
