package monitor

import (
	"maps"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// notices are what people were promised and what they got, of one machine.
type notices struct {
	raised  map[string]raised // by incident: people are called, the supervisor says
	got     map[string]bool   // dedup keys of which somebody got something
	grouped map[showing]bool  // what a target hears of in a grouped notice
	groups  map[string]string // what a grouped notice tells of, by the key of each
	lost    map[string]bool   // dedup keys that were said to be undeliverable
	open    map[showing]bool  // what providers show as open; true: that is on record
	first   map[showing]string
	gone    map[showing]bool // targets of which it was said that they will not be told
	owed    map[owedTo]owing
}

type raised struct {
	fact
	what string
	self bool // about the process itself: the next life has its own
	why  escalate.Reason
	res  resource
}

type showing struct{ target, key string }

type owedTo struct{ target, key string }

type owing struct {
	since time.Duration
}

func newNotices() notices {
	return notices{
		raised: map[string]raised{}, got: map[string]bool{}, groups: map[string]string{}, lost: map[string]bool{},
		open: map[showing]bool{}, grouped: map[showing]bool{}, first: map[showing]string{}, gone: map[showing]bool{}, owed: map[owedTo]owing{},
	}
}

func (o *notices) raise(now fact, ev *incident.Event) {
	if _, again := o.raised[ev.Incident]; !again {
		o.raised[ev.Incident] = raised{
			now, string(ev.Reason) + " of " + resource{ev.Watch, ev.Key}.String(),
			ev.Watch == incident.Self && (ev.Reason == escalate.SafeMode || ev.Reason == escalate.Degraded),
			ev.Reason, resource{ev.Watch, ev.Key},
		}
	}
}

// forget drops what a crash may have taken back. A notice that a life may have
// forgotten may come again under another id.
func (o *notices) forget(durable uint64) {
	for id, r := range o.raised {
		if (r.mark > durable || r.self) && !o.got[id] {
			delete(o.raised, id)
		}
		r.mark = 0
		if _, ok := o.raised[id]; ok {
			o.raised[id] = r
		}
	}
	clear(o.owed)
	maps.DeleteFunc(o.open, func(_ showing, known bool) bool { return !known })
}

// moot drops what is over before anybody got it: where the life ends just then,
// nobody needs to know.
func (x *machine) moot() {
	for id, r := range x.notices.raised {
		l, over := x.ladders[id], false
		switch {
		case r.why == escalate.Blind:
			over = x.look(r.res.watch).blindSince < 0
		case r.why == escalate.Storm:
			over = len(x.storm) == 0
		default:
			over = l == nil || l.closing.at > 0
		}
		if over && !x.notices.got[id] {
			delete(x.notices.raised, id)
		}
	}
}

// Outbox is what the outbox says of notices: its part of the metrics.
func (q *Machine) Outbox(at time.Duration, e outbox.Effect) {
	x := (*machine)(q)
	o := &x.notices
	switch e := e.(type) {
	case outbox.Told:
		switch {
		case e.Kind == escalate.Resolve:
			for _, t := range e.Targets {
				delete(o.owed, owedTo{t, e.DedupKey}) // one notice says both
			}
		case e.Kind == escalate.Trigger && e.Level > 0:
			for _, t := range e.Targets {
				if _, again := o.owed[owedTo{t, e.DedupKey}]; !again && !o.grouped[showing{t, e.DedupKey}] {
					o.owed[owedTo{t, e.DedupKey}] = owing{at}
				}
			}
		}
	case outbox.Grouped:
		o.groups[e.DedupKey] = e.Group
		o.grouped[showing{e.Target, e.DedupKey}] = true
		delete(o.owed, owedTo{e.Target, e.DedupKey})
	case outbox.Undeliverable:
		o.lost[e.Notification.DedupKey] = true
		delete(o.owed, owedTo{e.Target, e.Notification.DedupKey})
		o.gone[showing{e.Target, e.Notification.DedupKey}] = true
		delete(o.first, showing{e.Target, e.Notification.DedupKey})
		if e.Notification.Kind == escalate.Resolve {
			delete(o.open, showing{e.Target, e.Notification.DedupKey})
		}
	case outbox.Superseded:
	}
}

// Called is when a target is called, whatever becomes of it. calm is since when
// it has answered every call, or when the process began.
func (q *Machine) Called(at time.Duration, target, key string) {
	delete((*machine)(q).notices.owed, owedTo{target, key})
}

// Received is when a provider takes a notification. certain says that its id was
// on the disk before.
func (q *Machine) Received(target string, n *escalate.Notification, certain bool) {
	x := (*machine)(q)
	o := &x.notices
	show := showing{target, n.DedupKey}
	o.got[n.DedupKey] = true
	if n.Kind == escalate.Resolve {
		delete(o.open, show)
		delete(o.first, show)
		return
	}
	if n.Kind == escalate.Trigger && n.Repeat == 0 {
		if was := o.first[show]; was != "" && was != n.ID && o.open[show] {
			x.broken(Delivered, "machine %d: %s is called for %s under the id %s, and was before under %s", x.n, target, n.DedupKey, n.ID, was)
		}
		if certain {
			o.first[show] = n.ID
		}
	}
	o.open[show] = o.open[show] || certain
}

// Late says how many calls to a target that answers are overdue, and which.
func (q *Machine) Late(at time.Duration, answers func(target string) time.Duration) {
	x := (*machine)(q)
	var bad findings
	for to, w := range x.notices.owed {
		if since := max(w.since, x.calmFrom, answers(to.target)); answers(to.target) >= 0 && at > since+callWithin {
			bad.add(NobodyWaits, "machine %d: %s answers, and has not been called for %s for %v", x.n, to.target, to.key, at-w.since)
		}
	}
	x.brokenIn(bad)
}

// callWithin is how soon a target that answers is called: others go before it, one
// by one, and a storm is sifted first.
const callWithin = 5 * time.Minute

// unheard names what people were promised and never got.
func (o *notices) unheard() (missing []string) {
	for _, id := range slices.Sorted(maps.Keys(o.raised)) {
		if !o.got[id] && !o.lost[id] && !o.got[o.groups[id]] && !o.lost[o.groups[id]] {
			missing = append(missing, o.raised[id].what+", incident "+id)
		}
	}
	return missing
}

// shown names what providers still show as open.
func (o *notices) shown() (open []string) {
	for s := range o.open {
		if !o.gone[s] {
			open = append(open, s.key+" at "+s.target)
		}
	}
	slices.Sort(open)
	return open
}
