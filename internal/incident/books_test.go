package incident

import (
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

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
	s.brokeBy = ev.Incident
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
		k.flips = append(k.flips, now)
		if i.healed {
			k.heals = append(k.heals, now)
		}
		if i.acted {
			m.cool(s, k)
		}
		if !removing && !m.stopping {
			backAtOnce := i.acked && k.batch == m.batch // after a person has let it close
			if !backAtOnce && (k.wellSince < 0 || now-k.wellSince < s.cfg.KeepFor) {
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
	if i.outcome == remediate.Moved && s.brokeBy != i.id { // it was counted before it closed
		m.ladderFailed(s, i)
	}
	for o, u := range m.owed {
		if o.id == i.id && u.measure == "" && !u.given && !(removing && u.failed) {
			m.w.fail("undo lost", "%s[%s] closes and attempt %d is still in force", ev.Watch, ev.Key, o.attempt)
		}
		if o.id == i.id && u.failed && u.measure == "" { // a shared one may have other holders, who try again
			delete(m.owed, o)
		}
	}
	delete(m.incs, i.id)
}

// flapShare is Icinga's share, with the close of this instant.
func (m *monitor) flapShare(s *seenWatch, k *seenKey) float64 {
	pace := max(s.cfg.KeepFor, s.cfg.Every, time.Second)
	share := 0.0
	for n := range At(20) {
		from, to := m.w.now-(20-n)*pace, m.w.now-(19-n)*pace
		for _, at := range k.flips {
			if from < at && at <= to {
				share += 0.8 + 0.02*float64(n)
				break
			}
		}
	}
	return share * 5
}
