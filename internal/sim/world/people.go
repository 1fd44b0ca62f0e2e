package world

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/remediate"
)

// people is what they may say within a minute.
func (m *machine) people() {
	p, w := m.p, m.w
	if p == nil || p.over || p.stopping || p.stoppedTill > w.now {
		return
	}
	if m.haltedTill > 0 && w.now >= m.haltedTill {
		p.resume("ann")
	}
	if w.strikes(PersonHalts, 0.006) {
		m.haltedTill = w.now + w.span(PersonHalts, time.Minute, 40*time.Minute)
		p.halt("ann", "a look at it first")
	}
	if w.strikes(PersonSilences, 0.01) && len(w.set.watches) > 0 {
		x := w.set.watches[w.among(PersonSilences, len(w.set.watches))]
		s := incident.Silence{Watch: x.Name, By: "bob", Reason: "known"}
		if w.among(PersonSilences, 2) == 0 {
			s.Key = x.keys[0]
		}
		p.silence(s, w.span(PersonSilences, time.Minute, 40*time.Minute))
	}
	if len(m.silences) > 0 && w.strikes(PersonSilences, 0.02) {
		p.unsilence(m.silences[0])
		m.silences = m.silences[1:]
	}
	for _, n := range m.asked {
		switch {
		case !w.strikes(PersonAnswers, 0.5):
		case w.among(PersonAnswers, 4) == 0:
			p.ask(incident.Input{Kind: incident.InReject, ID: n.Incident.Proposal, By: "ann"}, func(error) {})
		default:
			p.ask(incident.Input{Kind: incident.InApprove, ID: n.Incident.Proposal, By: "ann"}, func(error) {})
		}
	}
	m.asked = nil
	for _, id := range m.told {
		if w.strikes(PersonAcks, 0.1) {
			p.ack(id, time.Duration(w.among(PersonAcks, 3))*20*time.Minute)
		}
	}
	m.told = m.told[max(len(m.told)-20, 0):]
}

// careful is what people do once everything has healed: they leave nothing that
// waits for them.
func (m *machine) careful() {
	p := m.p
	m.w.after(time.Minute, m.careful)
	if p == nil || p.over || p.stopping {
		return
	}
	if p.engine.Whole().Halted != nil || p.engine.Whole().StormSticky {
		p.resume("ann")
	}
	if m.w.now < m.w.healedAt+10*time.Minute {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(m.shown)) {
		p.ack(id, 0)
	}
	for _, id := range p.stuck() {
		p.ack(id, 0)
	}
}

// stuck is what the console shows as left to people: measures that could not be put
// back. Who was told may have acknowledged that already, while the journal took no
// records, and a crash forgot it.
func (p *process) stuck() (ids []string) {
	for _, name := range p.engine.Watches() {
		o, _ := p.engine.Overview(name)
		for _, in := range o.Incidents {
			if slices.ContainsFunc(in.Incident.Attempts, func(a remediate.Attempt) bool { return a.Owed && a.UndoErr != nil }) {
				ids = append(ids, in.Incident.ID)
			}
		}
	}
	return ids
}

// hears is a person who gets a notice.
func (m *machine) hears(n *escalate.Notification) {
	switch {
	case n.Kind == escalate.Resolve:
		delete(m.shown, n.DedupKey)
		return
	case n.Kind == escalate.Ask:
		m.asked = append(m.asked, *n)
	}
	m.told = append(m.told, n.DedupKey)
	m.shown[n.DedupKey] = true
}

// ask hands in what a person said, and calls answered with the answer. It is in
// force in memory first.
func (p *process) ask(in incident.Input, answered func(error)) {
	ds := p.engine.Step(p.now(), in)
	var err error
	for _, d := range ds {
		if d.Kind == incident.DoReply {
			err = d.Err
		}
	}
	if err == nil && in.Kind == incident.InApprove {
		for _, d := range ds {
			if d.Kind == incident.DoEmit && d.Event.Kind == incident.EvApprove {
				p.m.books.Approved(p.m.local(), d.Event.Incident)
			}
		}
	}
	p.decide(ds)
	p.poke()
	if err != nil {
		answered(err)
		return
	}
	p.written.wait(p, answered)
}

func (p *process) halt(by, why string) {
	p.m.w.tell(p.m, "%s halts all healing", by)
	p.m.books.Halted(by)
	p.ask(incident.Input{Kind: incident.InHalt, By: by, Note: why}, func(err error) {
		p.m.w.tell(p.m, "the halt is answered: %v", err)
		p.m.books.HaltAnswered(err)
	})
	p.dangerous("after a halt")
}

// resume ends a halt: it must be durable before it takes effect.
func (p *process) resume(by string) {
	p.m.haltedTill = 0
	halted := p.engine.Whole().Halted
	if halted == nil || p.m.w.cfg.Planted == "shell: a resume takes effect before it is durable" {
		p.resumed(by, p.journal.issued+1)
		return
	}
	p.m.w.tell(p.m, "%s asks to resume", by)
	p.m.books.Resuming()
	w := p.journal.records([]incident.Record{{Halt: &incident.HaltRecord{}}})
	mark := p.journal.issued
	w.wait(p, func(err error) {
		if err != nil {
			p.m.w.tell(p.m, "it stays halted: %v", err)
			p.journal.records([]incident.Record{{Halt: &incident.HaltRecord{On: true, By: halted.By, Reason: halted.Reason}}})
			p.m.books.ResumeRefused()
			p.m.haltedTill = p.m.w.now + time.Minute
			return
		}
		p.resumed(by, mark)
	})
}

func (p *process) resumed(by string, mark uint64) {
	p.m.w.tell(p.m, "%s resumes", by)
	p.m.books.Resumed(p.m.local(), mark)
	p.ask(incident.Input{Kind: incident.InResume, By: by}, func(error) {})
}

func (p *process) silence(s incident.Silence, long time.Duration) {
	m := p.m
	m.w.quiets++
	s.ID = m.name() + "/q" + string(rune('a'+m.w.quiets%26)) + time.Duration(m.w.quiets).String()
	s.Until = p.now() + long
	m.w.tell(m, "%s silences %s[%s] for %v", s.By, s.Watch, s.Key, long.Round(time.Second))
	m.books.Silenced(m.local(), s, long-time.Millisecond)
	m.silences = append(m.silences, s.ID)
	p.ask(incident.Input{Kind: incident.InSilence, Silence: &s}, func(err error) { m.books.SilenceAnswered(s.ID, err) })
	p.dangerous("after a silence")
}

func (p *process) unsilence(id string) {
	p.m.books.Unsilenced(id)
	p.ask(incident.Input{Kind: incident.InUnsilence, ID: id, By: "bob"}, func(error) {})
}

// ack acknowledges an incident, or all of which a grouped notice tells.
func (p *process) ack(id string, long time.Duration) {
	p.m.w.tell(p.m, "a person acknowledges %s", id)
	ids := p.box.m.Members(id)
	if ids == nil {
		ids = []string{id}
	}
	for _, id := range ids {
		p.ackOne(id, long)
	}
}

func (p *process) ackOne(id string, long time.Duration) {
	at := p.now()
	p.ask(incident.Input{Kind: incident.InAck, Incident: id, By: "ann", Until: at + long}, func(err error) {
		if !errors.Is(err, incident.ErrNoSuch) && !p.over {
			p.m.books.Acked(p.m.local(), p.journal.issued, id)
			p.box.input(outbox.Ack{DedupKey: id, By: "ann", For: long})
		}
	})
}
