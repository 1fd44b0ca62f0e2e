// Package outbox stands between escalation policies and notifiers: it decides
// who is told what and when, tries until it is delivered, and says so when it
// cannot be.
//
// A [Machine] decides. Like the machine of incidents it is pure: inputs with a
// time go in, effects come out, and one script always has one result. It keeps
// an entry for each dedup key from its first telling until its last resolve is
// delivered. An entry knows the levels of its plan and has a lane for each of
// its targets, in which owed notifications arrive in order, each under one id
// however often it is tried. A target is called for one lane at a time.
//
// What it promises, and its tests check:
//
//   - What was handed to a target is delivered, reported as [Undeliverable] or
//     reported as [Superseded] by a later notification that says as much.
//   - Whoever was handed a call is told when it is over, and nobody else. Whoever
//     was not reached in between gets one notice that says both.
//   - An acknowledgement stops levels and repeats until it runs out.
//   - Its memory is bounded, and empty when everything is over and delivered.
//
// A [Driver] does what the machine decides: it calls targets, each under a
// deadline, and feeds the results back.
package outbox
