package selfheal

import (
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/remediate"
)

const (
	// relapseWithin is how long after a heal the same key may fall sick again for
	// that to be a relapse: as long as the rail of masking looks back.
	relapseWithin = 24 * time.Hour
	// maxHeals bounds the heals that are remembered for it.
	maxHeals = 10_000
)

// What healing can be off for, as the label why.
const (
	offHalt     = "halt"
	offSilence  = "silence"
	offShadow   = "shadow"
	offStorm    = "storm"
	offTilt     = "tilt"
	offSafeMode = "safe mode"
	offJournal  = "journal"
)

var offWhys = []string{offHalt, offSilence, offShadow, offStorm, offTilt, offSafeMode, offJournal}

// meter measures how long things take and last. It is fed by the events of the
// engine alone, in their order, so that no sum ever goes back.
type meter struct {
	detect, heal *histogram

	mu       sync.Mutex
	end      incident.At // of Run; 0 before it
	off      map[string]*stretch
	shadows  int
	silences map[string]incident.At // until when, by id
	seen     incident.At            // up to which silence is counted
	silenced time.Duration
	blind    map[string]*stretch // by watch
	tales    map[string]*tale    // by incident
	heals    map[string]incident.At
	healed   []heal // the same, oldest first
	relapses uint64
}

// stretch adds up the time that something was so.
type stretch struct {
	on    bool
	since incident.At
	sum   time.Duration
}

func (s *stretch) set(on bool, at incident.At) {
	switch {
	case on && !s.on:
		s.on, s.since = true, at
	case !on && s.on:
		s.on = false
		s.sum += at - s.since
	}
}

func (s *stretch) total(at incident.At) time.Duration {
	if s.on {
		return s.sum + max(at-s.since, 0)
	}
	return s.sum
}

// tale is what the meter must know of an incident until it closes.
type tale struct {
	found  incident.At // -1: in an earlier life
	healed incident.At // by the last step that did; -1: none has, or it came back
}

type heal struct {
	name string
	at   incident.At
}

func newMeter() *meter {
	m := &meter{
		detect: newHistogram(.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
		heal:   newHistogram(1, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400),
		off:    map[string]*stretch{}, silences: map[string]incident.At{}, blind: map[string]*stretch{},
		tales: map[string]*tale{}, heals: map[string]incident.At{},
	}
	for _, why := range offWhys {
		m.off[why] = &stretch{}
	}
	return m
}

// begin takes in what earlier lives left in force.
func (m *meter) begin(w *incident.Whole) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off[offHalt].set(w.Halted != nil, 0)
	m.off[offStorm].set(w.Storm, 0)
	m.off[offSafeMode].set(w.SafeMode, 0)
	m.off[offJournal].set(w.Degraded, 0)
	for n := range w.Silences {
		m.silences[w.Silences[n].ID] = w.Silences[n].Until
	}
}

// stop ends all measuring.
func (m *meter) stop(at incident.At) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end = at
}

// shadow says that a watch in shadow was started, or is gone (-1).
func (m *meter) shadow(n int, at incident.At) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shadows += n
	m.off[offShadow].set(m.shadows > 0, at)
}

// gone forgets a watch that was removed.
func (m *meter) gone(watch string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blind, watch)
}

// event takes in one of the engine's. every is the interval of its watch.
func (m *meter) event(ev *incident.Event, every time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent(ev.At)
	switch ev.Kind {
	case incident.EvFound:
		m.tales[ev.Incident] = &tale{found: ev.At, healed: -1}
	case incident.EvOpen:
		m.open(ev, every)
	case incident.EvStep:
		if t := m.tales[ev.Incident]; t != nil && ev.Attempt.Outcome == remediate.Healed {
			t.healed = ev.At
		}
	case incident.EvClose:
		m.close(ev)
	case incident.EvBlip:
		delete(m.tales, ev.Incident)
	case incident.EvBlind:
		b := m.blind[ev.Watch]
		if b == nil {
			b = &stretch{}
			m.blind[ev.Watch] = b
		}
		b.set(true, ev.At)
	case incident.EvSight:
		if b := m.blind[ev.Watch]; b != nil {
			b.set(false, ev.At)
		}
	case incident.EvHalt, incident.EvResume:
		m.off[offHalt].set(ev.Kind == incident.EvHalt, ev.At)
	case incident.EvStorm, incident.EvStormOver:
		m.off[offStorm].set(ev.Kind == incident.EvStorm, ev.At)
	case incident.EvTilt, incident.EvCalm:
		m.off[offTilt].set(ev.Kind == incident.EvTilt, ev.At)
	case incident.EvSafeMode, incident.EvSafeModeOver:
		m.off[offSafeMode].set(ev.Kind == incident.EvSafeMode, ev.At)
	case incident.EvDegraded, incident.EvRecovered:
		m.off[offJournal].set(ev.Kind == incident.EvDegraded, ev.At)
	case incident.EvSilence:
		m.silences[ev.ID] = ev.At + ev.Duration
	case incident.EvUnsilence:
		delete(m.silences, ev.ID)
	}
}

func (m *meter) open(ev *incident.Event, every time.Duration) {
	t := m.tales[ev.Incident]
	if t == nil {
		t = &tale{found: -1, healed: -1}
		m.tales[ev.Incident] = t
	}
	if ev.Again {
		if t.healed >= 0 {
			m.relapses++
			t.healed = -1
		}
		return
	}
	if t.found >= 0 {
		m.detect.observe(timeToDetect(t.found, ev.At, every))
	}
	if at, ok := m.heals[sickness(ev)]; ok && ev.At-at <= relapseWithin {
		m.relapses++
	}
}

// timeToDetect counts from the last look that could have found nothing, one
// interval before the first finding, to the opening.
func timeToDetect(found, opened incident.At, every time.Duration) time.Duration {
	return every + opened - found
}

func (m *meter) close(ev *incident.Event) {
	t := m.tales[ev.Incident]
	delete(m.tales, ev.Incident)
	if t == nil || t.healed < 0 {
		return
	}
	if t.found >= 0 {
		m.heal.observe(t.healed - t.found)
	}
	m.remember(heal{sickness(ev), ev.At})
}

func sickness(ev *incident.Event) string { return ev.Watch + "\x00" + ev.Key }

// remember keeps a heal for as long as a relapse counts as one.
func (m *meter) remember(h heal) {
	m.heals[h.name] = h.at
	m.healed = append(m.healed, h)
	n := 0
	for n < len(m.healed) && (h.at-m.healed[n].at > relapseWithin || len(m.healed)-n > maxHeals) {
		if old := m.healed[n]; m.heals[old.name] == old.at {
			delete(m.heals, old.name)
		}
		n++
	}
	m.healed = m.healed[n:]
}

// silent adds up the time up to at in which at least one silence was in force.
// Silences begin with their event, so what is known now was so all along.
func (m *meter) silent(at incident.At) {
	if at <= m.seen {
		return
	}
	var until incident.At
	for id, t := range m.silences {
		until = max(until, t)
		if t <= at {
			delete(m.silences, id)
		}
	}
	m.silenced += max(min(until, at)-m.seen, 0)
	m.seen = at
}

// measured is what a meter shows.
type measured struct {
	relapses uint64
	off      map[string]time.Duration
	blind    map[string]time.Duration // of the watches that ever were
}

func (m *meter) read(at incident.At) measured {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end > 0 {
		at = min(at, m.end)
	}
	m.silent(at)
	r := measured{relapses: m.relapses, off: make(map[string]time.Duration, len(m.off)), blind: make(map[string]time.Duration, len(m.blind))}
	for why, s := range m.off {
		r.off[why] = s.total(at)
	}
	r.off[offSilence] = m.silenced
	for watch, s := range m.blind {
		r.blind[watch] = s.total(at)
	}
	return r
}
