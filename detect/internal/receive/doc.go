// Package receive is what the receivers of alerts share. Each of them adds what
// is particular about its sender: how a body proves where it comes from, and how
// it reads.
//
// A request passes three rooms. The [Endpoint] is the door: it bounds and reads
// the body, counts, answers, and lets no panic out. [Access] and [Keys] are the
// guards: headers, client certificates, signatures, and times that a signature
// covers. The [Table] is the memory: the level of each alert, what is older and
// what is newer, what must be stored before the sender is answered. It hands out
// a [View] for each detector.
//
// Nothing in here starts a goroutine or a timer. Posts take turns by a channel,
// so that a slow store delays posts and never a look; a look at a view that has
// nothing to report reads one atomic pointer.
//
// Only the receivers below package detect may import this package.
package receive
