package world

import (
	"errors"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

const (
	storeWait    = 2 * time.Second  // that a call waits for the store
	callTimeout  = 10 * time.Second // of a notifier
	givenUpAfter = callTimeout + time.Second
)

// mailer drives the machine of the outbox, as its driver does.
type mailer struct {
	p       *process
	m       *outbox.Machine
	born    time.Duration
	writing *batch // that the store has
	pending *batch // for when it is through with that
	tickAt  time.Duration
	unsure  bool // the last batch was not kept
}

type batch struct {
	records []outbox.Record
	at      map[string]int
	sends   []outbox.Send
	waits   bool
	let     bool
}

// sending is a call of a provider.
type sending struct {
	given   bool // up
	certain bool // its id was on record before
}

func newMailer(p *process, ids string) *mailer {
	return &mailer{
		p: p, born: p.m.local(), tickAt: -1,
		m: outbox.New(outbox.Options{IDPrefix: ids + "n", Breaker: 5, Storm: 5, Rate: rate, Durable: true}),
	}
}

func rate(target string) escalate.Rate {
	if target == "mail" {
		return escalate.Rate{N: 10, Per: time.Minute}
	}
	return escalate.Rate{}
}

func (b *mailer) now() time.Duration { return b.p.m.local() - b.born }

func (b *mailer) restore(rs []outbox.Record) {
	b.m.Clock(b.now(), b.p.m.clock())
	b.carryOut(b.m.Restore(b.now(), rs, nil))
}

func (b *mailer) input(in outbox.Input) {
	b.m.Clock(b.now(), b.p.m.clock())
	b.carryOut(b.m.Step(b.now(), in, nil))
}

func (b *mailer) carryOut(out []outbox.Effect) {
	for _, e := range out {
		switch e := e.(type) {
		case outbox.Record:
			b.keep(e)
		case outbox.Send:
			b.launch(e)
		default:
			b.p.m.books.Outbox(b.p.m.local(), e)
			b.p.m.w.tellEffect(b.p.m, e)
		}
		if b.p.over {
			return
		}
	}
	b.flush()
	b.rearm()
}

func (b *mailer) rearm() {
	at, ok := b.m.Next()
	switch {
	case b.p.over || at+b.born == b.tickAt && ok:
	case !ok:
		b.tickAt = -1
	default:
		local := at + b.born
		b.tickAt = local
		b.p.m.w.push(b.p.m.when(local), b.p, func() {
			if b.tickAt == local {
				b.tickAt = -1
				b.p.guard(func() { b.input(outbox.Tick{}) })
			}
		})
	}
}

// keep takes a record into the batch that is written next.
func (b *mailer) keep(r outbox.Record) {
	if b.pending == nil {
		b.pending = &batch{at: map[string]int{}}
	}
	n := b.pending
	if i, again := n.at[r.Key]; again {
		if r.Entry != nil && r.Entry.Digest != nil {
			n.records[i] = r
			return
		}
		n.records[i] = outbox.Record{}
	}
	n.at[r.Key] = len(n.records)
	n.records = append(n.records, r)
}

// launch begins a call when everything that was recorded before it is kept.
func (b *mailer) launch(s outbox.Send) {
	n := b.pending
	if n == nil {
		n = b.writing
	}
	if n == nil || n.let || b.p.m.w.cfg.Planted == "shell: people are called before that is on record" {
		b.start(s)
		return
	}
	n.sends = append(n.sends, s)
	if !n.waits {
		n.waits = true
		b.p.after(storeWait, func() {
			if !n.let {
				b.unsure = true
				b.let(n)
			}
		})
	}
}

func (b *mailer) let(n *batch) {
	n.let = true
	sends := n.sends
	n.sends = nil
	for _, s := range sends {
		if b.start(s); b.p.over {
			return
		}
	}
}

// flush hands the store what is pending, unless it is busy.
func (b *mailer) flush() {
	if b.pending == nil || b.writing != nil || b.p.over {
		return
	}
	n := b.pending
	b.pending, b.writing = nil, n
	var records []outbox.Record
	for _, r := range n.records {
		if r.Key != "" {
			records = append(records, r)
		}
	}
	b.p.after(20*time.Microsecond, func() {
		if b.p.dangerous("before it is on record that people are owed a notice") {
			return
		}
		b.p.journal.appendNotices(records, func(err error) {
			if b.p.over {
				return
			}
			b.unsure = err != nil
			b.writing = nil
			b.let(n)
			b.flush()
		})
	})
}

// start calls a provider.
func (b *mailer) start(s outbox.Send) {
	p, w := b.p, b.p.m.w
	if p.dangerous("before a notifier is called") {
		return
	}
	p.m.books.Called(p.m.local(), s.Target, s.Notification.DedupKey)
	c := &sending{certain: !b.unsure && p.journal.sick == ""}
	how := w.providers[s.Target].call()
	arrives := min(how.takes/2, 500*time.Millisecond) // what hangs is the answer
	if how.takes > callTimeout && !how.hangs {
		how.takes, how.err = callTimeout, errors.New("no answer in time")
	}
	m := p.m
	if how.arrives {
		w.after(arrives, func() {
			w.tell(m, "%s gets %v %s: %s", s.Target, s.Notification.Kind, s.Notification.DedupKey, s.Notification.Incident.Reason)
			w.stats.Notices++
			if c.certain || !p.over { // else nobody can know of it
				m.books.Received(s.Target, &s.Notification, c.certain)
			}
			m.hears(&s.Notification)
		})
	}
	p.after(how.takes, func() {
		if p.dangerous("after a notifier was called") {
			return
		}
		switch {
		case c.given:
			b.input(outbox.Freed{Target: s.Target})
		case how.err == nil:
			b.input(outbox.Sent{ID: s.ID, Target: s.Target})
		default:
			b.input(outbox.Failed{ID: s.ID, Target: s.Target, Err: how.err, Permanent: how.refused, RetryAfter: how.after})
		}
	})
	if how.takes > givenUpAfter {
		p.after(givenUpAfter, func() {
			c.given = true
			b.input(outbox.Failed{ID: s.ID, Target: s.Target, Err: outbox.ErrAbandoned, Stuck: true})
		})
	}
}
