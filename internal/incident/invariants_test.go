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
		if ev.Rail != remediate.RailGate && ev.Rail != remediate.RailBlind {
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
	k.flips = append(k.flips, flip{now, true})
	above := false
	for n := range s.cfg.Playbook.Steps {
		st := &s.cfg.Playbook.Steps[n]
		above = above || st.Risk.AboveSafe() && !s.cfg.Disabled[st.Name]
	}
	if above && s.cfg.Mode != Shadow && len(s.cfg.After) == 0 && !m.storm && !m.silenced(ev.Watch, ev.Key) {
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

func (m *monitor) stepped(s *seenWatch, i *seenInc, ev *Event) {
	delete(m.permits, i.id)
	if x := s.cfg.Playbook.Limits.Exclusive; x != "" {
		if h := m.exclusive[x]; h.id == i.id && !h.abandoned {
			delete(m.exclusive, x)
		}
	}
	i.outcome = ev.Attempt.Outcome
	i.attempt, i.climbing = ev.Number, false
	i.gateYes, i.approved = 0, seenAsk{}
	step := 0
	for n := range s.cfg.Playbook.Steps {
		if s.cfg.Playbook.Steps[n].Name == ev.Step {
			step = n
		}
	}
	st := &s.cfg.Playbook.Steps[step]
	i.step = max(i.step, step)
	k := s.keys[ev.Key]
	switch i.outcome {
	case remediate.Skipped:
		return
	case remediate.Healed:
		i.healed = true
		if !k.known || k.present || k.knownAt < i.settled {
			m.w.fail("healed", "step %s of %s[%s] is said to have healed", ev.Step, ev.Watch, ev.Key)
		}
		if m.moved(s, i, k) {
			m.w.fail("moved", "step %s of %s[%s] only moved it", ev.Step, ev.Watch, ev.Key)
		}
	case remediate.Moved:
		for _, j := range m.incs {
			if o := s.keys[j.key]; j.watch == i.watch && j != i && o != nil && o.present && o.found > i.began {
				m.cool(s, o)
			}
		}
	case remediate.Worse:
		i.over = true
		m.ladderFailed(s, i)
		if !st.Risk.AboveSafe() {
			m.w.fail("worse", "safe step %s of %s[%s] is worse", ev.Step, ev.Watch, ev.Key)
		}
	case remediate.Unverified:
		if s.cfg != nil && !m.stopping {
			i.over = true
		}
	case remediate.NoEffect:
		// Where the verdict is that of a look of this instant.
		if st.Risk.AboveSafe() && k.batch == m.batch && st.Verify == nil && st.Retry.Attempts() == 1 && k.severity > i.severity {
			m.w.fail("worse", "step %s of %s[%s] made it critical and the ladder goes on", ev.Step, ev.Watch, ev.Key)
		}
	}
	i.acted = true
}

// moved says whether a key fell sick after the rung of i had begun.
func (m *monitor) moved(s *seenWatch, i *seenInc, own *seenKey) bool {
	for _, j := range m.incs {
		if o := s.keys[j.key]; j.watch == i.watch && o != nil && o != own && o.present && o.found > i.began && o.foundBy > i.began {
			return true
		}
	}
	return false
}

func (m *monitor) cool(s *seenWatch, k *seenKey) {
	c := s.cfg.Playbook.Limits.Cooldown
	if c == 0 {
		c = 5 * time.Minute
	}
	if c > 0 {
		k.cooldown = max(k.cooldown, m.w.now+c)
	}
}

// ladderFailed counts a ladder that failed without doubt.
func (m *monitor) ladderFailed(s *seenWatch, i *seenInc) {
	b := s.cfg.Playbook.Limits.Breaker
	if b.Failures < 0 || i.certain {
		return
	}
	i.certain = true
	if b.Failures == 0 {
		b.Failures = 3
	}
	if b.Within == 0 {
		b.Within = time.Hour
	}
	now := m.w.now
	n := 0
	for n < len(s.failures) && s.failures[n]+b.Within <= now {
		n++
	}
	s.failures = append(s.failures[n:], now)
	if len(s.failures) >= b.Failures && now >= s.until {
		m.mustBreak(s, i)
	}
}

// mustBreak: the breaker opens at this instant.
func (m *monitor) mustBreak(s *seenWatch, i *seenInc) {
	m.w.after(0, func() {
		if m.w.now >= s.until && m.seen[i.watch] == s {
			m.w.fail("breaker", "%d ladders of %s have failed and it is closed", len(s.failures), i.watch)
		}
	})
}

func (m *monitor) broke(s *seenWatch, ev *Event) {
	b := s.cfg.Playbook.Limits.Breaker
	if b.OpenFor == 0 {
		b.OpenFor = 30 * time.Minute
	}
	want := min(b.OpenFor, breakerCap)
	if s.wait > 0 {
		want = min(2*s.wait, breakerCap)
	}
	if ev.Duration != want {
		m.w.fail("breaker", "%s opens for %v, not %v", ev.Watch, ev.Duration, want)
	}
	s.wait, s.until, s.half, s.trial, s.failures = ev.Duration, m.w.now+ev.Duration, true, "", nil
}

func (m *monitor) undid(i *seenInc, ev *Event) {
	k := m.undos[owedKey{i.id, ev.Number}] // a shared measure goes by the identity of who took it
	u := m.owed[k]
	switch {
	case u == nil || u.under:
		m.w.fail("undo once", "an undo of %s[%s] ended that did not run", ev.Watch, ev.Key)
	case ev.Err != nil:
		u.failed = true
	default:
		delete(m.owed, k) // any other is not owed
	}
}

func (m *monitor) closed(s *seenWatch, i *seenInc, ev *Event) {
	now := m.w.now
	s.open--
	k := s.keys[ev.Key]
	removing := m.w.watches[ev.Watch] == nil || m.w.watches[ev.Watch].leaving
	if k != nil {
		k.flips = append(k.flips, flip{now, false})
		if i.healed {
			k.heals = append(k.heals, now)
		}
		if i.acted {
			m.cool(s, k)
		}
		if !removing && !m.stopping {
			if k.wellSince < 0 || now-k.wellSince < s.cfg.KeepFor {
				m.w.fail("keep for", "%s[%s] closes too early", ev.Watch, ev.Key)
			}
			if !i.ownsUndo && s.cfg.KeepFor > 0 && m.flapShare(s, k) > flapHigh+1e-9 {
				m.w.fail("flapping", "%s[%s] closes though it opens and closes again and again", ev.Watch, ev.Key)
			}
		}
	}
	if s.trial == i.id {
		s.trial = ""
		if i.healed {
			s.half, s.wait, s.failures = false, 0, nil
		}
	}
	if i.outcome == remediate.Moved {
		m.ladderFailed(s, i)
	}
	for o, u := range m.owed {
		if o.id == i.id && u.measure == "" && !u.given && !(removing && u.failed) {
			m.w.fail("undo lost", "%s[%s] closes and attempt %d is still in force", ev.Watch, ev.Key, o.attempt)
		}
		if o.id == i.id && u.failed {
			delete(m.owed, o)
		}
	}
	delete(m.incs, i.id)
}

// flapShare is Icinga's share over the states of a key, the next one a close.
func (m *monitor) flapShare(s *seenWatch, k *seenKey) float64 {
	pace := max(s.cfg.KeepFor, s.cfg.Every, time.Second)
	state := func(at At) bool {
		open := false
		for _, f := range k.flips[:len(k.flips)-1] {
			if f.at <= at {
				open = f.open
			}
		}
		return open
	}
	share, before := 0.0, state(m.w.now-19*pace)
	for n := range 20 {
		after := false
		if n < 19 {
			after = state(m.w.now - At(18-n)*pace)
		}
		if after != before {
			share += 0.8 + 0.02*float64(n)
		}
		before = after
	}
	return share * 5
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
		if i.lateSince >= 0 && now > i.lateSince+heldTooLong+time.Second && i.lastPage < i.lateSince {
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
