// Package evidence captures what a person wants to see of an incident before a
// step changes it: stacks, profiles, an execution trace, metrics, the pressure that
// the kernel sees, the last log records. Who is called finds the diagnosis done.
//
// A supervisor does so by itself, with what its options say:
//
//	store, err := evidence.OpenStore(evidence.StoreOptions{Dir: "/var/lib/orders/evidence"})
//	…
//	ring := evidence.NewLogRing(handler, evidence.LogRingOptions{})
//	heal := selfheal.New(selfheal.Options{
//		Logger:   slog.New(ring),
//		Evidence: evidence.Options{Store: store, Logs: ring},
//	})
//
// # What is captured
//
// [Default] makes a gatherer that writes one bundle a capture, and lists what is in
// it. Each file is a [Part]; an application adds its own, and [Capture] takes those
// alone. A bundle is a zip file: its profiles open in go tool pprof, its trace in
// go tool trace, its manifest.json is an [Info].
//
// # What it may cost
//
// The step waits for its evidence, so a capture is over within 2 s and 8 MiB
// ([Options]): a part has half of the time that is left, one that hangs is left
// behind, one that panics becomes a note. Captures into one store never overlap. No
// garbage collection is forced, no rate of a profile is changed, the world is
// stopped for microseconds. What is missing, and why, is in the bundle's notes.
//
// A [LogRing] costs each log record once more what slog.JSONHandler costs it. A
// flight recorder costs something all the time, so it is never started unasked: see
// [Recorder].
//
// # What is kept
//
// A [Store] is bounded by bytes and by age, in memory or in a directory that only
// its owner reads; the oldest bundle goes first. A ref cannot be guessed, and is a
// name, never a path. But whoever has one and may ask the service gets the bundle:
// ask for authority first.
//
// Everything that is text is redacted before it is kept ([Redactor]), also labels
// and messages within profiles and traces. Rules are a net, not a wall: name the
// secrets of the service ([NewRedactor]).
//
// The package imports detect, escalate and what they import, and nothing above, so
// that a watch may have a gatherer of its own: [Capture], with parts of the
// application.
package evidence
