package outbox

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// A Record is everything that must outlive the process about one key, as it is
// after a change. A later record of a key replaces an earlier one, so that any
// prefix of a log of records is a state of the machine: see [Machine.Restore].
// It comes before every [Send] that depends on it, in the same step.
//
// It holds what people are told and the names of those who are told: never a
// request to a provider, a credential, or a link, which may be signed.
type Record struct {
	Key string `json:"key"`
	// Entry is nil when the key is forgotten.
	Entry *Entry `json:"entry,omitempty"`
}

func (Record) effect() {}

// An Entry is the durable part of one key. Times are on the wall clock.
type Entry struct {
	Plan    Plan                  `json:"plan,omitzero"`
	Last    escalate.Notification `json:"last"`
	LastAt  time.Time             `json:"last_at"`
	Started bool                  `json:"started,omitempty"`
	Began   time.Time             `json:"began,omitzero"`
	Base    time.Time             `json:"base,omitzero"`
	Stood   time.Time             `json:"stood,omitzero"`
	Closed  bool                  `json:"closed,omitempty"`
	People  bool                  `json:"people,omitempty"`
	Lost    time.Time             `json:"lost,omitzero"` // since when

	Acked       bool            `json:"acked,omitempty"`
	AckBy       string          `json:"ack_by,omitempty"`
	AckUntil    time.Time       `json:"ack_until,omitzero"`
	Snoozed     bool            `json:"snoozed,omitempty"`
	SnoozeBy    string          `json:"snooze_by,omitempty"`
	SnoozeUntil time.Time       `json:"snooze_until,omitzero"`
	SnoozeAt    detect.Severity `json:"snooze_at,omitempty"`
	Muted       bool            `json:"muted,omitempty"`
	Quiet       bool            `json:"quiet,omitempty"`
	Held        *escalate.Kind  `json:"held,omitempty"`
	RanOut      string          `json:"ran_out,omitempty"`

	Levels []LevelState `json:"levels,omitempty"`
	Lanes  []LaneState  `json:"lanes,omitempty"`
	Group  *GroupState  `json:"group,omitempty"`
	Digest *digest      `json:"digest,omitempty"`
}

// A LevelState is where a level of the plan stands.
type LevelState struct {
	Told     bool          `json:"told,omitempty"`
	RepeatAt time.Duration `json:"repeat_at_ns,omitempty"` // on the clock of its entry
}

// A LaneState is what one target was told of a key, and what it is owed.
type LaneState struct {
	Target    string      `json:"target"`
	Calls     int         `json:"calls,omitempty"`
	People    bool        `json:"people,omitempty"`
	Informed  bool        `json:"informed,omitempty"`
	Delivered bool        `json:"delivered,omitempty"`
	Own       bool        `json:"own,omitempty"`
	Tried     bool        `json:"tried,omitempty"`
	Failed    string      `json:"failed,omitempty"`
	Group     string      `json:"group,omitempty"` // the key of the grouped notice that tells of it
	Joined    int         `json:"joined,omitempty"`
	Owed      []ItemState `json:"owed,omitempty"`
}

// An ItemState is a notification that is owed. Its incident is left out where
// it is that of the entry's newest word.
type ItemState struct {
	Notification escalate.Notification `json:"notification"`
	Same         bool                  `json:"same,omitempty"`
	Owed         time.Time             `json:"owed"`
	Tried        bool                  `json:"tried,omitempty"`
	Inform       bool                  `json:"inform,omitempty"`
	Fell         bool                  `json:"fell,omitempty"`
}

// A GroupState is what a grouped notice is beside its members, which name it.
type GroupState struct {
	Count   int             `json:"count"`
	Saying  int             `json:"saying,omitempty"`
	Known   int             `json:"known,omitempty"`
	Level   int             `json:"level,omitempty"`
	Worst   detect.Severity `json:"worst,omitempty"`
	Opened  time.Time       `json:"opened,omitzero"`
	Service string          `json:"service,omitempty"`
	Notes   []string        `json:"notes,omitempty"`
	Told    bool            `json:"told,omitempty"`
	Fresh   bool            `json:"fresh,omitempty"`
	Again   bool            `json:"again,omitempty"`
	Every   time.Duration   `json:"every_ns,omitempty"`
	Next    time.Time       `json:"next,omitzero"`
}

// touch says that e changed.
func (m *Machine) touch(e *entry) {
	if m.opt.Durable && !e.dirty && !e.once {
		e.dirty = true
		m.dirty = append(m.dirty, e)
	}
}

// record puts the records of what changed before everything else that the step
// had for effects from there on. A log may end between two of them: digests come
// before what they tell of, and grouped notices after it, so that it is told.
func (m *Machine) record(from int) {
	if len(m.dirty) == 0 {
		return
	}
	if m.stopped {
		m.dirty = m.dirty[:0] // what is owed at the end is for the next life
		return
	}
	records := make([]Effect, 0, len(m.dirty))
	for order := range 3 {
		for _, e := range m.dirty {
			if e.order() != order {
				continue
			}
			e.dirty = false
			switch {
			case m.entries[e.key] == e:
				e.recorded = true
				records = append(records, Record{Key: e.key, Entry: m.state(e)})
			case e.recorded && m.entries[e.key] == nil:
				records = append(records, Record{Key: e.key})
			}
		}
	}
	clear(m.dirty)
	m.dirty = m.dirty[:0]
	if mutant(mutRecordLate) {
		from = len(m.out)
	}
	m.out = slices.Insert(m.out, from, records...)
}

func (e *entry) order() int {
	switch {
	case e.digest != nil:
		return 0
	case e.group != nil:
		return 2
	}
	return 1
}

// Records is the whole state, sorted by key: what a log of records can be
// replaced with.
func (m *Machine) Records() []Record {
	var rs []Record
	for _, e := range m.sorted() {
		if !e.once {
			rs = append(rs, Record{Key: e.key, Entry: m.state(e)})
		}
	}
	return rs
}

func (m *Machine) at(d time.Duration) time.Time {
	return m.epoch.Add(d).UTC()
}

func (m *Machine) state(e *entry) *Entry {
	s := &Entry{
		Plan: e.plan, Last: unlinked(e.last), LastAt: m.at(e.lastAt), Started: e.started, Closed: e.closed, People: e.people,
		Acked: e.acked, AckBy: e.ackBy, Snoozed: e.snoozed, SnoozeBy: e.snoozeBy, SnoozeAt: e.snoozeAt,
		Muted: e.muted, Quiet: e.quiet, Held: e.held, RanOut: e.ranOut,
	}
	some := func(to *time.Time, at time.Duration, is bool) {
		if is {
			*to = m.at(at)
		}
	}
	some(&s.Began, e.began, e.started)
	some(&s.Base, e.base, e.started)
	some(&s.Stood, e.stoodAt, e.paused())
	some(&s.AckUntil, e.ackUntil, e.acked && e.ackEnds)
	some(&s.SnoozeUntil, e.snoozeUntil, e.snoozed)
	some(&s.Lost, e.lostAt, e.lost)
	for _, l := range e.levels {
		s.Levels = append(s.Levels, LevelState{Told: l.told, RepeatAt: l.repeatAt})
	}
	for _, l := range e.lanes {
		ls := LaneState{
			Target: l.target.name, Calls: l.calls, People: l.people, Informed: l.informed,
			Delivered: l.delivered, Own: l.own, Tried: l.tried, Failed: l.failed,
		}
		if l.group != nil {
			ls.Group, ls.Joined = l.group.entry.key, l.joined
		}
		for _, it := range l.queue {
			is := ItemState{Notification: unlinked(it.n), Owed: m.at(it.owed), Tried: it.tried, Inform: it.inform, Fell: it.fell}
			if is.Same = it.version == e.version; is.Same {
				is.Notification.Incident = escalate.Incident{}
			}
			ls.Owed = append(ls.Owed, is)
		}
		s.Lanes = append(s.Lanes, ls)
	}
	if g := e.group; g != nil {
		s.Group = &GroupState{
			Count: g.count, Saying: g.saying, Known: g.known, Level: g.level, Worst: g.worst, Opened: g.opened,
			Service: g.service, Notes: slices.Clone(g.notes), Told: g.told, Fresh: g.fresh, Again: g.again,
			Every: g.every, Next: m.at(g.next),
		}
	}
	if e.digest != nil {
		d := *e.digest
		d.Names = slices.Clone(d.Names)
		s.Digest = &d
	}
	return s
}

func unlinked(n escalate.Notification) escalate.Notification {
	n.Links = nil
	return n
}

// number is the number in an id of this machine; 0 in one of another life.
func (m *Machine) number(id string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimRight(strings.TrimPrefix(id, m.opt.IDPrefix), "gd"), 10, 64)
	return n
}
