package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// orphanFor is how long a watch of an earlier life may take to be here again.
const orphanFor = time.Minute

// forgetAfter is when nothing of a watch that stays away can matter any more: the
// longest wait there is, and the longest window.
const forgetAfter = 48 * time.Hour

// An orphan is what an earlier life left of a watch, until that is added again.
type orphan struct {
	watch  string
	record *WatchRecord
	keys   []*IncidentRecord // sorted by key; their distances count from since
	since  At
	told   bool // people were, of what it owes
	again  bool // it was written before a reboot: written again, the next life can tell how long ago
}

// orphansOf gathers what is left by watch, as if all of it had been written now.
func (e *Engine) orphansOf(saved *Saved, now Moment) map[string]*orphan {
	left := map[string]*orphan{}
	e.orphans = map[string]*orphan{}
	of := func(name string) *orphan {
		o := left[name]
		if o == nil {
			o = &orphan{watch: name, since: e.now}
			left[name] = o
		}
		return o
	}
	for name, w := range saved.watches {
		o := of(name)
		o.record = w.Record.aged(now.Since(w.At))
		o.again = o.again || !now.tells(w.At)
	}
	for k, r := range saved.keys {
		if by := now.Since(r.At); by < forgetAfter || !r.Record.Closed {
			o := of(k.watch)
			aged := r.Record.aged(by)
			if !now.tells(r.At) {
				o.again = true
				aged.ApprovedIn = 0 // a wait is served in full, but a permission may be over
			}
			o.keys = append(o.keys, aged)
		}
	}
	for _, o := range left {
		slices.SortFunc(o.keys, func(a, b *IncidentRecord) int {
			return strings.Compare(a.Snapshot.Finding.Key, b.Snapshot.Finding.Key)
		})
	}
	return left
}

// aged is the record as it would have been written so much later.
func (r *WatchRecord) aged(by time.Duration) *WatchRecord {
	c := *r
	c.OpenIn = max(c.OpenIn-by, 0)
	c.FailedAgo = older(c.FailedAgo, by)
	c.BlindAgo += by
	return &c
}

func (r *IncidentRecord) aged(by time.Duration) *IncidentRecord {
	c := *r
	c.OpenedAgo += by
	c.ClearIn = max(c.ClearIn-by, 0)
	c.ApprovedIn = max(c.ApprovedIn-by, 0)
	c.CooldownIn = max(c.CooldownIn-by, 0)
	c.HealsAgo, c.FlipsAgo = older(c.HealsAgo, by), older(c.FlipsAgo, by)
	c.MaskToldAgo += by
	if c.AckedIn > 0 && c.AckedIn <= by {
		c.Acked, c.AckedIn = false, 0
	} else if c.AckedIn > 0 {
		c.AckedIn -= by
	}
	return &c
}

func older(as []Ago, by time.Duration) []Ago {
	if by == 0 {
		return as
	}
	out := slices.Clone(as)
	for n := range out {
		out[n] += by
	}
	return out
}

// codeGone tells people of an undo whose step is no longer there.
func (e *Engine) codeGone(watch, key, id string, x OwedRecord) {
	in := escalate.Incident{
		ID: fmt.Sprintf("%s-owed-%d", id, x.Attempt), Watch: watch, Service: e.o.Service, State: escalate.Open, Opened: e.wall(e.now),
		Reason: escalate.UndoOwed,
		Detail: fmt.Sprintf("undo of step %s (attempt %d of incident %s) is owed and its code is gone: put it back by hand", x.Step, x.Attempt, id),
	}
	in.Finding.Key = key
	in.Finding.Summary = "undo of step " + x.Step + " owed, code gone"
	e.do(Decision{Kind: DoTell, Watch: watch, Key: key, Notice: &Notice{
		Kind: escalate.Trigger, DedupKey: in.ID, Watches: []string{watch}, Incident: in, Fallback: true,
	}})
	e.emit(Event{Kind: EvPage, Watch: watch, Key: key, Incident: in.ID, Reason: in.Reason, Why: in.Detail, Finding: in.Finding})
}

// Awaits says whether an earlier life left something of a watch that nobody has added
// in this one.
func (e *Engine) Awaits(watch string) bool { return e.orphans[watch] != nil }

// orphansDue is when people are told of what nobody has taken up; never without.
func (e *Engine) orphansDue() At {
	due := never
	for _, o := range e.orphans {
		if !o.told {
			due = min(due, o.since+orphanFor)
		}
	}
	return due
}

// tellOrphans tells people of undos whose code is gone, and those who were told
// of an incident that nobody watches it any longer.
func (e *Engine) tellOrphans() {
	if e.orphansDue() > e.now {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(e.orphans)) {
		o := e.orphans[name]
		if o.told {
			continue
		}
		o.told = true
		for _, r := range o.keys {
			if r.Closed {
				continue
			}
			for _, x := range r.Owed {
				if x.Scope != remediate.Self {
					e.codeGone(name, r.Snapshot.Finding.Key, r.Snapshot.ID, x)
				}
			}
			in := r.Snapshot
			in.State, in.Closed = escalate.Closed, e.wall(e.now)
			in.Detail = "its watch is gone since the process was started again: nobody looks after it any longer"
			if r.Told || r.Informed {
				e.do(Decision{Kind: DoTell, Watch: name, Key: in.Finding.Key, Notice: &Notice{
					Kind: escalate.Resolve, Inform: !r.Told, DedupKey: in.ID, Watches: []string{name}, Incident: in, Fallback: true,
				}})
			}
			r.Closed = true
			c := *r.aged(e.now - o.since)
			e.unsaved.closed = append(e.unsaved.closed, c)
		}
	}
}
