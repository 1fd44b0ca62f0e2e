package selfheal

import (
	"context"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// An Observer gets every event, in order, one at a time, on a goroutine of its
// own. It may call any method of the supervisor. A slow one delays nobody: what
// does not fit into its queue is dropped, counted and shown in Status. Its
// context ends after 10 s; its panics are recovered and counted.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// ObserverFunc adapts a function to an [Observer].
type ObserverFunc func(ctx context.Context, e Event)

// Observe calls f.
func (f ObserverFunc) Observe(ctx context.Context, e Event) { f(ctx, e) }

// An Event is something that happened. It is sealed: the types are those of
// this package whose names begin with Event, and more may come.
type Event interface {
	// Meta says when it happened and to what.
	Meta() About
	// Line is the event as a timeline prints it; named says whether to name the
	// watch and key in lines other than "open".
	Line(named bool) string
	// String is the named line.
	String() string

	sealed()
}

// About says when an event happened and to what.
type About struct {
	Seq      uint64        // grows by one from event to event
	Time     time.Time     // on the wall clock
	Elapsed  time.Duration // since Run began
	Watch    string        // "selfheal" for the supervisor itself
	Key      string
	Incident string // "" where there is none
}

// Meta returns it.
func (a About) Meta() About { return a }

// Name is the watch with its key in brackets, if it has one.
func (a About) Name() string {
	if a.Key == "" {
		return a.Watch
	}
	return a.Watch + "[" + a.Key + "]"
}

func (About) sealed() {}

func (a About) line(named bool, verb, rest string) string {
	switch {
	case named && rest != "":
		return verb + " " + a.Name() + " " + rest
	case named:
		return verb + " " + a.Name()
	case rest != "":
		return verb + " " + rest
	}
	return verb
}

// The events. Each is what its Line says.
type (
	// EventFound says that a finding waits for Watch.For.
	EventFound struct {
		About
		Finding detect.Finding
	}
	// EventBlip says that it vanished before that.
	EventBlip struct {
		About
		Finding detect.Finding
	}
	// EventOpen says that an incident opened; Again, that it had not been closed.
	EventOpen struct {
		About
		Finding detect.Finding
		Again   bool
	}
	// EventHold says that a rail forbids the next step now; once a change of rail.
	EventHold struct {
		About
		Step string
		Rail remediate.Rail
		Why  string
	}
	// EventRelease says that nothing holds it any longer.
	EventRelease struct {
		About
		Step string
		Rail remediate.Rail
		Held time.Duration
	}
	// EventStart says that a rung begins.
	EventStart struct {
		About
		Step   string
		Number int // of the attempt, from 1
	}
	// EventStep says how a rung ended.
	EventStep struct {
		About
		Number  int
		Attempt remediate.Attempt
	}
	// EventWould says what a watch in shadow would have done.
	EventWould struct {
		About
		Step string
	}
	// EventAsk says that a person is asked.
	EventAsk struct {
		About
		Step     string
		Proposal string
	}
	// EventAnswer says that a person, or for want of one the clock, answered.
	EventAnswer struct {
		About
		Step     string
		Proposal string
		By       string
		Approved bool
	}
	// EventUndo says that a temporary measure was put back, or could not be.
	EventUndo struct {
		About
		Step string
		Err  error
	}
	// EventPage says that people were told.
	EventPage struct {
		About
		Reason escalate.Reason
		Detail string
		Level  int // of the policy, from 1
		Repeat int // how often those were told before
	}
	// EventInform says that Policy.Inform was told.
	EventInform struct{ About }
	// EventResolve says that the people who were told are told that it is over.
	EventResolve struct{ About }
	// EventClose says that an incident is over.
	EventClose struct {
		About
		Open time.Duration
	}
	// EventBlind says that a detector cannot see; once until it sees again.
	EventBlind struct {
		About
		Err error
	}
	// EventSight says that it sees again.
	EventSight struct {
		About
		Blind time.Duration
	}
	// EventTilt says that the supervisor is late, or its clock stepped.
	EventTilt struct {
		About
		Why string
	}
	// EventCalm says that it has been on time for long enough.
	EventCalm struct {
		About
		Tilted time.Duration
	}
	// EventStorm says that many are sick at once.
	EventStorm struct {
		About
		Why string
	}
	// EventStormOver says that no new one came for long enough.
	EventStormOver struct {
		About
		Lasted time.Duration
	}
	// EventSafeMode says that the process ends again and again: it observes and
	// calls people, and no step runs.
	EventSafeMode struct {
		About
		Why string
	}
	// EventSafeModeOver says that this life has lasted.
	EventSafeModeOver struct {
		About
		Duration time.Duration
	}
	// EventDegraded says that the journal takes no records.
	EventDegraded struct {
		About
		Why string
	}
	// EventRecovered says that it takes them again.
	EventRecovered struct {
		About
		Duration time.Duration
	}
	// EventHalt says that a person stopped all healing.
	EventHalt struct {
		About
		By, Reason string
	}
	// EventResume says that it goes on.
	EventResume struct {
		About
		By string
	}
	// EventSilence says that a person silenced something.
	EventSilence struct {
		About
		ID, By, Reason string
	}
	// EventUnsilence says that the silence was lifted before its time.
	EventUnsilence struct {
		About
		ID, By string
	}
	// EventAck says that a person has taken an incident.
	EventAck struct {
		About
		By string
	}
	// EventSnooze says that a person wants to hear nothing of an incident until
	// then.
	EventSnooze struct {
		About
		By    string
		Until time.Time
	}
	// EventBreaker says that the breaker of a watch opened.
	EventBreaker struct {
		About
		For time.Duration
	}
	// EventDrop says that a watch has more sick keys than it may: the rest is one
	// incident that only escalates.
	EventDrop struct {
		About
		Keys int
	}
	// EventAbandoned says that a call ignored its context and still runs.
	EventAbandoned struct {
		About
		Where string
	}
	// EventEvidence says that evidence could not be captured, or not all of it.
	EventEvidence struct {
		About
		Err error
	}
	// EventTarget says that a notifier does not answer, so that others are told in
	// its place, or that it answers again.
	EventTarget struct {
		About
		Target string
		Down   bool
		Err    error // of the last call of one that is down
	}
	// EventUndeliverable says that a notice will not reach its target. Where
	// Target is "", nobody who was to be told of the incident can be reached, and
	// nobody is left to try; it is retried where there is hope.
	EventUndeliverable struct {
		About
		Target string
		Err    error
	}
)

// Line prints the event.
func (e EventFound) Line(n bool) string { return e.line(n, "found", e.Finding.Summary) }
func (e EventFound) String() string     { return e.Line(true) }
func (e EventBlip) Line(n bool) string  { return e.line(n, "blip", "") }
func (e EventBlip) String() string      { return e.Line(true) }
func (e EventOpen) Line(bool) string    { return "open " + e.Name() + ": " + e.Finding.Summary }
func (e EventOpen) String() string      { return e.Line(true) }
func (e EventHold) Line(n bool) string {
	return e.line(n, "hold", orEscalation(e.Step)+": "+string(e.Rail))
}
func (e EventHold) String() string       { return e.Line(true) }
func (e EventStart) Line(n bool) string  { return e.line(n, "start", e.Step) }
func (e EventStart) String() string      { return e.Line(true) }
func (e EventWould) Line(n bool) string  { return e.line(n, "would step", e.Step) }
func (e EventWould) String() string      { return e.Line(true) }
func (e EventAsk) Line(n bool) string    { return e.line(n, "ask", e.Step) }
func (e EventAsk) String() string        { return e.Line(true) }
func (e EventPage) Line(n bool) string   { return e.line(n, "page", string(e.Reason)) }
func (e EventPage) String() string       { return e.Line(true) }
func (e EventInform) Line(n bool) string { return e.line(n, "inform", "") }
func (e EventInform) String() string     { return e.Line(true) }
func (e EventRelease) Line(n bool) string {
	return e.line(n, "release", orEscalation(e.Step)+": "+string(e.Rail))
}
func (e EventRelease) String() string { return e.Line(true) }
func (e EventStep) Line(n bool) string {
	return e.line(n, "step", e.Attempt.Step+": "+e.Attempt.Outcome.String())
}
func (e EventStep) String() string { return e.Line(true) }
func (e EventAnswer) Line(n bool) string {
	verb := "reject"
	if e.Approved {
		verb = "approve"
	}
	return e.line(n, verb, e.Step)
}
func (e EventAnswer) String() string { return e.Line(true) }
func (e EventUndo) Line(n bool) string {
	if e.Err != nil {
		return e.line(n, "undo", e.Step+": failed")
	}
	return e.line(n, "undo", e.Step)
}
func (e EventUndo) String() string        { return e.Line(true) }
func (e EventResolve) Line(n bool) string { return e.line(n, "resolve", "") }
func (e EventResolve) String() string     { return e.Line(true) }
func (e EventClose) Line(n bool) string   { return e.line(n, "close", "") }
func (e EventClose) String() string       { return e.Line(true) }
func (e EventBlind) Line(n bool) string {
	if n {
		return fmt.Sprintf("blind %s: %v", e.Name(), e.Err)
	}
	return fmt.Sprintf("blind: %v", e.Err)
}
func (e EventBlind) String() string       { return e.Line(true) }
func (e EventSight) Line(n bool) string   { return e.line(n, "sight", "") }
func (e EventSight) String() string       { return e.Line(true) }
func (e EventTilt) Line(bool) string      { return "tilt: " + e.Why }
func (e EventTilt) String() string        { return e.Line(true) }
func (e EventCalm) Line(bool) string      { return "calm" }
func (e EventCalm) String() string        { return e.Line(true) }
func (e EventStorm) Line(bool) string     { return "storm: " + e.Why }
func (e EventStorm) String() string       { return e.Line(true) }
func (e EventStormOver) Line(bool) string { return "storm over" }
func (e EventStormOver) String() string   { return e.Line(true) }
func (e EventSafeMode) Line(bool) string  { return "safe mode: " + e.Why }
func (e EventSafeMode) String() string    { return e.Line(true) }
func (e EventSafeModeOver) Line(bool) string {
	return "safe mode over after " + e.Duration.Truncate(time.Second).String()
}
func (e EventSafeModeOver) String() string { return e.Line(true) }
func (e EventDegraded) Line(bool) string   { return "journal degraded: " + e.Why }
func (e EventDegraded) String() string     { return e.Line(true) }
func (e EventRecovered) Line(bool) string {
	return "journal recovered after " + e.Duration.Truncate(time.Second).String()
}
func (e EventRecovered) String() string   { return e.Line(true) }
func (e EventHalt) Line(bool) string      { return "halt by " + e.By + ": " + e.Reason }
func (e EventHalt) String() string        { return e.Line(true) }
func (e EventResume) Line(bool) string    { return "resume by " + e.By }
func (e EventResume) String() string      { return e.Line(true) }
func (e EventSilence) Line(bool) string   { return "silence by " + e.By + ": " + e.Reason }
func (e EventSilence) String() string     { return e.Line(true) }
func (e EventUnsilence) Line(bool) string { return "unsilence by " + e.By }
func (e EventUnsilence) String() string   { return e.Line(true) }
func (e EventAck) Line(n bool) string     { return e.line(n, "ack", "by "+e.By) }
func (e EventAck) String() string         { return e.Line(true) }
func (e EventSnooze) Line(n bool) string  { return e.line(n, "snooze", "by "+e.By) }
func (e EventSnooze) String() string      { return e.Line(true) }
func (e EventBreaker) Line(n bool) string { return e.line(n, "breaker open for", e.For.String()) }
func (e EventBreaker) String() string     { return e.Line(true) }
func (e EventDrop) Line(n bool) string {
	return e.line(n, "drop", fmt.Sprintf("%d keys", e.Keys))
}
func (e EventDrop) String() string { return e.Line(true) }
func (e EventAbandoned) Line(n bool) string {
	return e.line(n, "abandoned", e.Where)
}
func (e EventAbandoned) String() string { return e.Line(true) }
func (e EventEvidence) Line(n bool) string {
	return e.line(n, "evidence missing", e.Err.Error())
}
func (e EventEvidence) String() string { return e.Line(true) }
func (e EventTarget) Line(bool) string {
	if e.Down {
		return "target down " + e.Target
	}
	return "target up " + e.Target
}
func (e EventTarget) String() string { return e.Line(true) }
func (e EventUndeliverable) Line(n bool) string {
	return e.line(n, "undeliverable", e.Target)
}
func (e EventUndeliverable) String() string { return e.Line(true) }

// orEscalation names what a hold holds where no step is left to climb.
func orEscalation(step string) string {
	if step == "" {
		return "escalation"
	}
	return step
}
