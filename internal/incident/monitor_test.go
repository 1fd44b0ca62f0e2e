package incident

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// monitor checks the invariants of the design from outside: it sees what the
// world tells the engine and what the engine asks of the world, and keeps books
// of its own. It never looks into the engine but through what Status shows.
type monitor struct {
	w      *world
	o      Options
	detail string // of the first broken invariant

	seen   map[string]*seenWatch
	incs   map[string]*seenInc
	owed   map[owedKey]*seenUndo
	asked  map[string]seenAsk  // by proposal
	answer []string            // proposals whose approval waits for its reply, "" for other words
	undos  map[owedKey]owedKey // whose undo an answer is about

	permits   map[string]bool // incidents whose step above Safe runs
	exclusive map[string]holder
	budget    []At
	late      map[string]int // calls that were abandoned and still run, by watch and key

	halted, safeMode, stopping bool
	silences                   []Silence
	tiltUntil, tiltOver        At
	storm, sticky              bool
	stormAt, stormEnd          At
	resumed                    bool // a person did, in this batch
	opens                      []seenOpen
	weigh                      bool
	batch, looks               int // of decisions; of looks
}

type holder struct {
	id        string
	attempt   int
	abandoned bool
}

type owedKey struct {
	id      string
	attempt int
}

type seenUndo struct {
	watch, key string
	measure    string
	ended      bool // Run has
	under      bool // Undo is under way
	tries, max int
	failed     bool
	given      bool // to a person, because it failed
}

type seenAsk struct {
	id, step string
	severity detect.Severity
	expires  At
}

type seenOpen struct {
	watch, key string
	found      At
	opened     At
}

// seenWatch is what the monitor knows of a watch.
type seenWatch struct {
	cfg       *Watch
	keys      map[string]*seenKey
	err       bool
	blind     At // since; -1
	blindTold bool
	until     At // the breaker is open
	half      bool
	trial     string
	wait      At // of the last opening
	failures  []At
	brokeBy   string
	open      int
}

type seenKey struct {
	present, known bool
	knownAt        At // start of the last look that could tell
	foundBy        At
	found          At
	wellSince      At // posted; -1 when it is sick
	severity       detect.Severity
	heals          []At
	cooldown       At
	flips          []At
	running        bool
	mark, batch    int // of looks and decisions: when it was last named
}

// seenInc is what the monitor knows of an incident.
type seenInc struct {
	id, watch, key string
	found, opened  At
	step           int // last rung that began
	attempt, try   int
	acted          bool // an attempt ended that was not skipped
	climbing       bool
	outcome        remediate.Outcome
	began          At // of the rung
	settled        At // when its settle time is over
	severity       detect.Severity
	over           bool
	unwell         bool
	told, acked    bool
	named          bool
	rail           remediate.Rail
	lateSince      At
	lastPage       At
	released       At
	approved       seenAsk
	gateYes        int
	ownsUndo       bool
	healed         bool
	certain        bool // a failed ladder was counted for these attempts
}

func newMonitor(w *world, o Options) *monitor {
	if o.MaxConcurrent == 0 {
		o.MaxConcurrent = 1
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = 1000
	}
	if o.Budget == 0 {
		o.Budget = 30
	}
	if o.BudgetWindow == 0 {
		o.BudgetWindow = time.Hour
	}
	return &monitor{
		w: w, o: o, seen: map[string]*seenWatch{}, incs: map[string]*seenInc{}, owed: map[owedKey]*seenUndo{},
		asked: map[string]seenAsk{}, undos: map[owedKey]owedKey{}, permits: map[string]bool{}, exclusive: map[string]holder{}, late: map[string]int{},
		tiltUntil: -1, tiltOver: -1, stormEnd: -1,
	}
}

func (m *monitor) starved(started At) bool { return m.w.now < m.tiltUntil || started < m.tiltOver }

func (m *monitor) silenced(watch, key string) bool {
	for n := range m.silences {
		s := &m.silences[n]
		if s.Until > m.w.now && (s.Watch == "" || s.Watch == "*" || s.Watch == watch) && (s.Key == "" || s.Key == key) {
			return true
		}
	}
	return false
}

// inputs takes in what the engine is about to be told.
func (m *monitor) inputs(ins []Input) {
	now := m.w.now
	if m.tiltUntil >= 0 && now >= m.tiltUntil {
		m.tiltOver, m.tiltUntil = m.tiltUntil, -1
	}
	m.batch++
	m.resumed = false
	for n := range ins {
		in := &ins[n]
		switch in.Kind {
		case InAdd:
			m.seen[in.Add.Name] = &seenWatch{cfg: in.Add, keys: map[string]*seenKey{}, blind: -1, until: -1}
		case InLook:
			m.looked(in)
		case InRan:
			k := owedKey{in.Incident, in.Attempt}
			if u := m.owed[k]; u != nil {
				if in.Result == Skip && in.Try == 1 {
					delete(m.owed, k)
				}
				u.ended = true
			}
			if in.Abandoned {
				m.abandoned(in)
			}
			if i := m.incs[in.Incident]; i != nil {
				if s := m.seen[i.watch]; s != nil {
					s.keys[i.key].running = false
					st := s.cfg.Playbook.Steps[i.step]
					if i.settled = now + st.Settle; st.Settle == 0 {
						i.settled = now + max(2*s.cfg.Every, time.Second)
					}
				}
			}
		case InVerified:
			if in.Abandoned {
				m.abandoned(in)
			}
			if i := m.incs[in.Incident]; i != nil && in.Result != OK && in.Result != Skip && !in.Abandoned {
				i.unwell = true
			}
		case InUndone:
			if in.Abandoned {
				m.abandoned(in)
			}
			if u := m.owed[m.undos[owedKey{in.Incident, in.Attempt}]]; u != nil {
				u.under = false
			}
		case InReturned:
			if k := name(in.Watch, in.Key); m.late[k] > 0 {
				m.late[k]--
			}
			for x, h := range m.exclusive {
				if h.abandoned && h.id == in.Incident && h.attempt == in.Attempt {
					delete(m.exclusive, x)
				}
			}
		case InGated:
			if i := m.incs[in.Incident]; i != nil && in.Err == nil {
				i.gateYes = in.Attempt
			}
		case InTilt:
			m.tiltUntil = now + calmFor
		case InHalt:
			m.halted = true
		case InResume:
			m.halted, m.resumed = false, true
		case InSilence:
			m.silences = append(m.silences, *in.Silence)
			for n := range m.opens {
				if o := &m.opens[n]; m.silenced(o.watch, o.key) {
					o.found = -1 // whether it counts is the engine's business
				}
			}
		case InUnsilence:
			m.silences = slices.DeleteFunc(m.silences, func(s Silence) bool { return s.ID == in.ID })
		case InSafeMode:
			m.safeMode = in.On
		case InStop:
			m.stopping = true
		case InRemove:
			if s := m.seen[in.Watch]; s != nil {
				s.blind = -1
			}
		case InAck:
			if i := m.incs[in.Incident]; i != nil {
				i.acked = true
				for k, u := range m.owed {
					if u.failed && m.mine(i, k, u) {
						u.given = true
					}
				}
			}
		}
		switch in.Kind {
		case InApprove:
			m.answer = append(m.answer, in.ID)
		case InReject, InAck, InHalt, InResume, InSilence, InUnsilence:
			m.answer = append(m.answer, "")
		}
	}
}

// mine says whether a failed undo was carried out for i.
func (m *monitor) mine(i *seenInc, k owedKey, u *seenUndo) bool {
	return k.id == i.id || u.measure != ""
}

func (m *monitor) abandoned(in *Input) {
	m.late[name(in.Watch, in.Key)]++
	for x, h := range m.exclusive {
		if h.id == in.Incident {
			h.abandoned, h.attempt = true, in.Attempt
			m.exclusive[x] = h
		}
	}
}

func (m *monitor) looked(in *Input) {
	s := m.seen[in.Watch]
	if s == nil || m.stopping {
		return
	}
	now := m.w.now
	if s.err = in.Err != nil; s.err && s.blind < 0 {
		s.blind = now
	} else if !s.err {
		s.blind, s.blindTold = -1, false
	}
	m.looks++
	for n := range in.Findings {
		f := &in.Findings[n]
		k := s.keys[f.Key]
		if k == nil {
			k = &seenKey{found: -1, wellSince: -1}
			s.keys[f.Key] = k
		}
		k.mark, k.batch = m.looks, m.batch
		k.present, k.known, k.knownAt, k.severity = true, true, in.Started, f.Severity
		if !m.starved(in.Started) {
			k.wellSince = -1
		}
	}
	for _, k := range s.keys {
		switch {
		case k.mark == m.looks:
		case s.err:
			k.known = false
		case m.starved(in.Started):
		default:
			k.present, k.known, k.knownAt = false, true, in.Started
			if k.wellSince < 0 {
				k.wellSince = now
			}
		}
	}
}

// decision checks what the engine asks for.
func (m *monitor) decision(d *Decision) {
	switch d.Kind {
	case DoRun:
		m.runs(d)
	case DoUndo:
		m.undoes(d)
	case DoTell:
		m.tells(d.Notice)
	case DoReply:
		if a, ok := m.asked[m.answer[0]]; ok && d.Err == nil && m.w.now < a.expires {
			a.expires = m.w.now + askFor
			m.incs[a.id].approved = a
		}
		m.answer = m.answer[1:]
	case DoRemoved:
		if s := m.seen[d.Watch]; s != nil && s.open > 0 {
			m.w.fail("removal", "%s is gone with an open incident", d.Watch)
		}
		delete(m.seen, d.Watch)
	case DoEmit:
		m.event(&d.Event)
	}
}

func (m *monitor) tells(n *Notice) {
	if n.Inform {
		return
	}
	if i := m.incs[n.DedupKey]; i != nil {
		i.told = true
		i.lastPage = m.w.now
	}
	if s := m.seen[n.Incident.Watch]; s != nil && n.Incident.Reason == escalate.Blind {
		s.blindTold = true
	}
	for _, sym := range n.Incident.Symptoms {
		for _, i := range m.incs {
			if name(i.watch, i.key) == sym {
				i.named = true
			}
		}
	}
}

// settled checks what must hold once an instant is over.
func (m *monitor) settled() {
	if m.weigh {
		m.weigh = false
		m.mustStorm()
	}
}

// asks says whether a person must be asked before the step.
func (m *monitor) asks(s *seenWatch, st *remediate.Step) bool {
	return st.Risk.Level() > m.o.MaxRisk.Level() || s.cfg.Mode == Propose && st.Risk.AboveSafe()
}
