package world

import (
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

const (
	grace     = 10 * time.Second
	stopSlack = 2 * time.Second
)

// shutDown ends a life in order: nothing new, then what runs, then what is owed,
// then what was said.
func (p *process) shutDown() {
	if p.stopping {
		return
	}
	p.m.w.tell(p.m, "is shut down in order")
	p.stopping = true
	p.m.books.Stopping()
	p.step(incident.Input{Kind: incident.InStop})
	drained := false
	drain := func() {
		if drained {
			return
		}
		drained, p.quiet = true, nil
		p.box.input(outbox.Drain{})
		p.afterDrain(time.Second)
	}
	p.quiet = func() {
		if p.engine.Idle() && len(p.inbox) == 0 && !p.turning {
			p.after(0, drain)
		}
	}
	p.after(grace+stopSlack/2, drain)
	p.poke()
}

// afterDrain stops the outbox once it owes nothing, or too late.
func (p *process) afterDrain(left time.Duration) {
	if p.box.m.Owed() > 0 && left > 0 {
		p.after(100*time.Millisecond, func() { p.afterDrain(left - 100*time.Millisecond) })
		return
	}
	p.box.input(outbox.Stop{})
	if p.over {
		return
	}
	p.looped = true // what returns from now on, nobody takes in
	if rs := p.engine.Records(); len(rs) > 0 {
		p.journal.records(rs)
	}
	w := p.journal.records([]incident.Record{p.engine.Ended()})
	w.wait(p, func(err error) {
		m := p.m
		m.w.tell(m, "has ended in order (on record: %v)", err == nil)
		p.die()
		if err == nil {
			_ = p.journal.log.Close()
		}
		m.disk.Kill()
		if err == nil {
			m.books.Ended(m.local())
		} else {
			m.books.Died(m.local())
		}
		m.again()
	})
}
