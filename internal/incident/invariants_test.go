package incident

import (
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// runs checks a step that is about to run against everything that could have
// forbidden it.
func (m *monitor) runs(d *Decision) {
	w, now := m.w, m.w.now
	s, i := m.seen[d.Watch], m.incs[d.Incident]
	if s == nil || i == nil || i.opened < 0 {
		w.fail("one climb", "a step runs for %s, which is not open", d.Incident)
		return
	}
	st := &s.cfg.Playbook.Steps[d.Step]
	k := s.keys[d.Key]
	first := d.Try == 1
	above := st.Risk.AboveSafe()
	broken := func(bad bool, invariant string) {
		if bad {
			w.fail(invariant, "step %s of %s[%s] runs, try %d of attempt %d", st.Name, d.Watch, d.Key, d.Try, d.Attempt)
		}
	}
	broken(m.stopping, "grace")
	broken(m.halted, "halt")
	broken(now < m.tiltUntil, "tilt")
	broken(m.safeMode, "safe mode")
	broken(m.silenced(d.Watch, d.Key), "silence")
	broken(m.storm && above, "storm")
	broken(k == nil, "cardinality")
	if k == nil {
		return
	}
	broken(!k.known, "blind")
	broken(!k.present && !i.unwell, "acts on the healthy")
	broken(k.running, "one step a key")
	broken(m.late[name(d.Watch, d.Key)] > 0, "abandoned keeps its key")
	broken(s.cfg.Disabled[st.Name] || s.cfg.Mode == Shadow, "mode")
	broken(i.over, "one climb")
	if first {
		broken(d.Step <= i.step || d.Attempt != i.attempt+1, "one climb")
		broken(k.knownAt < i.released, "stale")
		if x := s.cfg.Playbook.Limits.Exclusive; x != "" {
			_, held := m.exclusive[x]
			broken(held, "exclusive")
			m.exclusive[x] = holder{id: d.Incident, attempt: d.Attempt}
		}
		if above {
			broken(m.o.MaxConcurrent > 0 && len(m.permits) >= m.o.MaxConcurrent, "concurrency")
			m.permits[d.Incident] = true
			n := 0
			for n < len(m.budget) && m.budget[n]+m.o.BudgetWindow <= now {
				n++
			}
			m.budget = append(m.budget[n:], now)
			broken(m.o.Budget > 0 && len(m.budget) > m.o.Budget, "budget")
		}
		broken(!i.acted && now < k.cooldown, "cooldown")
		m.breakerAllows(s, i, broken)
		broken(above && m.masked(s, k), "masking")
		broken(st.Scope.NeedsFleet() && !m.o.Fleet, "scope")
		if m.asks(s, st) {
			a := i.approved
			broken(a.step != st.Name || now >= a.expires || a.severity != k.severity, "approval")
		}
		i.approved = seenAsk{}
		broken(m.o.Gate && i.gateYes != d.Attempt, "gate")
		broken(m.cause(s), "cause first")
		i.step, i.attempt, i.began, i.severity = d.Step, d.Attempt, now, k.severity
		i.climbing, i.unwell = true, false
		if st.Undo != nil {
			i.ownsUndo = true
			m.owed[owedKey{d.Incident, d.Attempt}] = &seenUndo{watch: d.Watch, key: d.Key, measure: st.Measure, max: st.Retry.Attempts()}
		}
	} else {
		broken(d.Try != i.try+1 || d.Try > st.Retry.Attempts() || d.Attempt != i.attempt, "attempts")
		i.unwell = false
	}
	i.try = d.Try
	k.running = true
	if u := m.owed[owedKey{d.Incident, d.Attempt}]; u != nil {
		u.ended = false
		broken(u.under, "undo once")
	}
}

func (m *monitor) breakerAllows(s *seenWatch, i *seenInc, broken func(bool, string)) {
	broken(m.w.now < s.until, "breaker")
	if s.half {
		t := m.incs[s.trial]
		broken(t != nil && t != i && (t.acted || t.climbing), "breaker")
	}
}

func (m *monitor) masked(s *seenWatch, k *seenKey) bool {
	h := s.cfg.Playbook.Limits.Heals
	within, n := h.Within, h.N
	if within == 0 {
		within = 24 * time.Hour
	}
	if n == 0 {
		n = 5
	}
	count := 0
	for _, at := range k.heals {
		if at+within > m.w.now {
			count++
		}
	}
	return n > 0 && count >= n
}

// cause says whether a watch of After has an open incident that holds.
func (m *monitor) cause(s *seenWatch) bool {
	for _, i := range m.incs {
		if i.opened < 0 {
			continue
		}
		for _, a := range s.cfg.After {
			if c := m.seen[a]; a == i.watch && c != nil && c.cfg.Mode != Shadow && !m.silenced(i.watch, i.key) {
				return true
			}
		}
	}
	return false
}

func (m *monitor) undoes(d *Decision) {
	u := m.owed[owedKey{d.Incident, d.Attempt}]
	switch {
	case u == nil:
		m.w.fail("undo once", "nothing is owed for attempt %d of %s", d.Attempt, d.Incident)
	case u.under:
		m.w.fail("undo once", "attempt %d of %s is being undone", d.Attempt, d.Incident)
	case !u.ended:
		m.w.fail("undo after run", "attempt %d of %s still runs", d.Attempt, d.Incident)
	case m.late[name(u.watch, u.key)] > 0:
		m.w.fail("undo after run", "a call for %s[%s] still runs", u.watch, u.key)
	case m.halted:
		m.w.fail("halt", "an undo runs")
	default:
		u.under = true
		m.undos[owedKey{d.AnswerTo, d.AnswerAttempt}] = owedKey{d.Incident, d.Attempt}
		if u.tries++; d.Try == 1 {
			u.tries = 1
		}
		if u.tries > u.max {
			m.w.fail("attempts", "try %d of undoing attempt %d of %s", u.tries, d.Attempt, d.Incident)
		}
		if d.Memo != nil && string(d.Memo) != name(u.watch, u.key) {
			m.w.fail("memo", "undo of %s[%s] got the memo %q", u.watch, u.key, d.Memo)
		}
	}
}

// event checks what the engine says has happened.
func (m *monitor) event(ev *Event) {
	now := m.w.now
	s, i := m.seen[ev.Watch], m.incs[ev.Incident]
	switch ev.Kind {
	case EvFound:
		i = &seenInc{id: ev.Incident, watch: ev.Watch, key: ev.Key, found: now, opened: -1, step: -1, lateSince: -1, lastPage: -1, released: -1}
		m.incs[i.id] = i
		if k := s.keys[ev.Key]; k != nil {
			k.found, k.foundBy = now, k.knownAt
		}
	case EvBlip:
		delete(m.incs, ev.Incident)
	case EvOpen:
		m.opened(s, i, ev)
	case EvHold:
		m.held(s, i, ev)
	case EvRelease:
		i.rail, i.lateSince = "", -1
		switch ev.Rail {
		case remediate.RailGate, remediate.RailBlind, remediate.RailFlapping: // a look ended these
		default:
			i.released = now
		}
	case EvStart:
		// A measure that was joined begins a rung too, and runs nothing.
		i.began, i.certain, i.healed = now, false, false
		for n := range s.cfg.Playbook.Steps {
			if st := &s.cfg.Playbook.Steps[n]; st.Name == ev.Step {
				i.settled = now + settle(st, s.cfg.Every)
			}
		}
		if s.half && now >= s.until {
			if t := m.incs[s.trial]; t == nil || !t.acted && !t.climbing {
				s.trial = i.id
			}
		}
	case EvStep:
		m.stepped(s, i, ev)
	case EvAsk:
		k := s.keys[ev.Key]
		m.asked[ev.ID] = seenAsk{id: ev.Incident, step: ev.Step, severity: k.severity, expires: now + askFor}
	case EvUndo:
		m.undid(i, ev)
	case EvClose:
		m.closed(s, i, ev)
	case EvBreaker:
		m.broke(s, ev)
	case EvStorm:
		m.storm, m.sticky = true, m.stormEnd >= 0 && now < m.stormEnd+stormAgain
		m.stormAt, m.opens = now, nil
	case EvStormOver:
		if !m.resumed && (m.sticky || now < m.stormAt+stormCalm) {
			m.w.fail("storm", "it is over too early")
		}
		m.storm, m.stormEnd, m.opens = false, now, nil
	}
}

func (m *monitor) opened(s *seenWatch, i *seenInc, ev *Event) {
	now := m.w.now
	k := s.keys[ev.Key]
	if k != nil && (!k.known || !k.present) {
		m.w.fail("blind", "%s[%s] opens and nobody sees it", ev.Watch, ev.Key)
	}
	if ev.Again {
		i.outcome = remediate.Running
		if i.healed {
			k.heals = append(k.heals, now)
			i.healed = false
			m.ladderFailed(s, i)
		}
		return
	}
	i.opened = now
	s.open++
	if now < i.found+s.cfg.For {
		m.w.fail("for", "%s[%s] opens %v after it was found", ev.Watch, ev.Key, now-i.found)
	}
	if k == nil {
		return
	}
	k.flips = append(k.flips, now)
	above := false
	for n := range s.cfg.Playbook.Steps {
		st := &s.cfg.Playbook.Steps[n]
		above = above || st.Risk.AboveSafe() && !s.cfg.Disabled[st.Name]
	}
	// What a blind detector has kept from opening for long is another matter.
	prompt := now <= i.found+s.cfg.For+3*time.Minute
	if above && prompt && s.cfg.Mode != Shadow && len(s.cfg.After) == 0 && !m.storm && !m.silenced(ev.Watch, ev.Key) {
		for n := range m.opens {
			if o := &m.opens[n]; o.watch == ev.Watch && o.key == ev.Key {
				o.found = -1
			}
		}
		m.opens = append(m.opens, seenOpen{ev.Watch, ev.Key, i.found, now})
		m.weigh = true
	}
}

// mustStorm counts again, the slow way, and only what counts without doubt.
func (m *monitor) mustStorm() {
	if m.storm || m.stopping {
		return
	}
	total := 0
	for range m.seen {
		total++
	}
	for _, last := range m.opens {
		keys := map[string]int{}
		for _, o := range m.opens {
			if o.found >= 0 && m.seen[o.watch] != nil && o.found <= last.found && o.found+stormWithin >= last.found {
				keys[o.watch]++
			}
		}
		n := 0
		for watch, count := range keys {
			if s := m.seen[watch]; s != nil && count > max(stormKeys, len(s.keys)/5) {
				n += count
			} else {
				n++
			}
		}
		if n > stormMore || n >= max(stormHalfOf, (total+1)/2) {
			m.w.fail("storm", "%d sick within a minute and no storm", n)
			return
		}
	}
}

func (m *monitor) held(s *seenWatch, i *seenInc, ev *Event) {
	if i.rail == ev.Rail {
		m.w.fail("hold once", "%s[%s] is held by %s, again", ev.Watch, ev.Key, ev.Rail)
	}
	switch late := toldLate(ev.Rail); {
	case late && i.lateSince < 0:
		i.lateSince = m.w.now
	case !late && ev.Rail != remediate.RailBlind: // which only interrupts it
		i.lateSince = -1
	}
	i.rail = ev.Rail
}

// audit checks what people must know by now.
func (m *monitor) audit() {
	now := m.w.now
	if m.stopping {
		return
	}
	for _, i := range m.incs {
		s := m.seen[i.watch]
		if i.opened < 0 || s == nil || !s.cfg.Pages || m.silenced(i.watch, i.key) || m.w.watches[i.watch].leaving {
			continue
		}
		if !i.told && !i.acked && !i.named && now > i.opened+nobodyTold+time.Second {
			m.w.fail("nobody told", "%s[%s] is open since %v and nobody knows", i.watch, i.key, i.opened)
		}
		if i.lateSince >= 0 && toldLate(i.rail) && now > i.lateSince+heldTooLong+time.Second && i.lastPage < i.lateSince {
			m.w.fail("held too long", "%s[%s] is held by %s since %v", i.watch, i.key, i.rail, i.lateSince)
		}
		if toldAtOnce(i.rail) != "" && !i.told {
			m.w.fail("held in silence", "%s[%s] is held by %s", i.watch, i.key, i.rail)
		}
	}
	for n, s := range m.seen {
		kept := 0
		o, _ := m.w.e.Overview(n)
		for k := range o.Incidents {
			st := &o.Incidents[k]
			in := &st.Incident
			if in.Finding.Key != foldedKey {
				kept++
			}
			i := m.incs[in.ID]
			if in.State == escalate.Watching && st.Known && st.Present && s.cfg.Pages && !m.silenced(n, in.Finding.Key) && !i.told && !m.w.watches[n].leaving {
				m.w.fail("silent end", "%s[%s]: the ladder is over and nobody was told", n, in.Finding.Key)
			}
		}
		if m.o.MaxKeys > 0 && kept > m.o.MaxKeys {
			m.w.fail("cardinality", "%s has %d incidents", n, kept)
		}
		if s.blind >= 0 && !s.blindTold && now > s.blind+max(blindFor, blindChecks*s.cfg.Every)+2*blindFor &&
			!m.cause(s) && len(s.cfg.After) == 0 && !m.silenced(n, "") && len(m.silences) == 0 && !m.w.watches[n].leaving {
			m.w.fail("blind told", "%s is blind since %v and nobody knows", n, s.blind)
		}
	}
}
