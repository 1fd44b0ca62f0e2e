// Package queue watches queues inside a service, and has what helps when one gets
// too long: more workers, slower producers, fewer requests.
//
//	heal.Install(queue.Module(queue.Options{Queues: []queue.Queue{
//		{Name: "orders", Meter: meter, Len: orders.Len, Cap: 10_000, Pool: pool, Pause: imports, Gate: gate},
//	}}))
//
// # What is watched
//
// A [Queue] is a channel ([Channel]), anything with a Len() int, or a function of
// your own. What can be told depends on what it shows:
//
//   - its depth, against a share of its capacity or a number;
//   - the age of its head, and how long nothing was taken from it: a consumer that
//     stalled gives no other sign;
//   - the sojourn time by CoDel's rule (RFC 8289): the queue is bad if for 100 ms
//     even the shortest wait stayed above 5 ms. A burst drains, a standing queue
//     does not. It needs a [Meter];
//   - the rates of arrival and drain, and from them the wait of a new item
//     (Little's law) and the time to drain. They need a Meter or counters, and are
//     believed only while the queue is not empty: else the drain rate is the rate
//     of arrival and says nothing about what the consumers can do.
//
// [Module] has two watches, both with one finding a queue. "backlog" acts when any
// signal is beyond its limit for 10 s; the queue is well again below half of the
// limit. "warning" tells people of a queue beyond three quarters of a limit for 10
// min. [Depth], [Wait], [Sojourn] and [Drain] judge by one signal each, for those
// who build their own; installed together they would be several incidents for one
// fault.
//
// # The ladder
//
//   - scale-workers (safe): [Pool.ScaleUp] within the bounds of the pool. Undo: the
//     workers that were added leave after the job at hand.
//   - pause-producers (disruptive): [Pause.Stop] for own importers and pollers.
//     Undo: they come back in a ramp of 10 s.
//   - shed-load (disruptive): [Gate.Adapt] where the gate has a signal, else
//     [Gate.Shed]: the least important requests are refused, over HTTP with 503 and
//     Retry-After. Undo: the gate opens in a ramp of 20 s, the more important
//     first, and with a signal only as far as the service can bear.
//
// All of it reaches no further than this process. A queue skips the rungs that it
// does not have. The actions fit into ladders of your own as well; those with a
// ramp need a Step.Timeout longer than the ramp.
//
// # Never
//
// Nothing here drops, purges or reorders what was accepted. Nothing refuses what
// is [Vital]. Nothing adds workers beyond the bound that you set: a queue before a
// sick dependency is not helped by more callers. No measure is lifted in one jump.
// No queue that cannot be read is acted on.
//
// # When a human is called
//
// When the ladder is at its end, with what was tried; when a gate cannot open for
// 5 min because the load is still there; when a queue was nearly too long for 10
// min; when a queue cannot be read for a minute. A module without queues cannot
// tell anything and is blind.
//
// # Costs
//
// A look takes about a microsecond a queue and allocates nothing while the queue
// is well; 100 queues, looked at by both watches each second, take less than 0.05 %
// of a core. Both ends of a Meter cost a reading of the clock and a short lock each;
// an open gate costs an atomic load and an addition, a producer that is not paused
// some nanoseconds. Only a Pool starts goroutines: its workers. Nothing here
// depends on the operating system.
package queue
