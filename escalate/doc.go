// Package escalate says who must know.
//
// It is the third room of the house: a detector found something, the steps of a
// playbook could not help or may not run, and now a person is called with the
// diagnosis already done. An [Incident] is what happened, a [Notification] is
// one telling of it, a [Notifier] is a way to reach people, and a [Policy] says
// which of them are told, and when.
//
//	escalate.Policy{
//		Levels: []escalate.Level{
//			{To: []escalate.Notifier{oncall}},
//			{After: 15 * time.Minute, To: []escalate.Notifier{oncall, manager}},
//		},
//		Repeat: time.Hour,
//		Inform: []escalate.Notifier{channel},
//	}
//
// [To] is the short form for one level at once, and [Log] is a notifier for a
// service that has no other yet: no incident should end in silence.
//
// A [Level] may be for what is critical only, [Quiet] hours hold what is not, and
// whoever cannot be reached has somebody else told in his place: see
// [Policy.Fallback]. Where more begin at once than anybody could read, those that
// follow the first are one notice. A [DeadMan] tells somebody outside that the
// supervisor itself is alive.
//
//	escalate.Policy{
//		Levels: []escalate.Level{
//			{To: []escalate.Notifier{channel}},
//			{To: []escalate.Notifier{oncall}, Min: detect.Critical},
//		},
//		Quiet: escalate.Quiet{Zone: berlin, Windows: []escalate.Window{
//			{From: 22 * time.Hour, To: 7 * time.Hour},
//			{Days: []time.Weekday{time.Saturday, time.Sunday}, To: 24 * time.Hour},
//		}},
//	}
//
// A notifier is one method. It sends one notification to one provider, once:
// retries, order, delays, repetition and the notice that it is over are the
// supervisor's. Texts for people are ready: [Notification.Title] in one line,
// [Notification.Text] in many; and [Notification] is JSON for programs.
//
// The packages below this one are notifiers for providers. They import this
// package and nothing above it.
package escalate
