// Package deliver is what the notifiers over HTTP share: one request to one
// provider, and what its answer means for the notification.
//
// A [Sender] bounds what it reads and how long it waits, follows no redirect,
// and turns every failure into an [escalate.Failure] that says whether to try
// again and when. No error holds an address, a header or a credential: those of
// net/http do, so their texts are replaced by what they mean, and what a
// provider answered is quoted only when no secret is in it.
//
// The other half are the limits of providers: [Cut], [CutBytes] and [Fit] make
// texts and bodies short enough and mark what was cut, [Key] makes keys short
// enough without losing that they differ, and [Clean], [Links] and [Details] take
// out of a notification what has a place at a provider.
package deliver
