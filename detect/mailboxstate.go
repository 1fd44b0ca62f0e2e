package detect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// letter is what a [Mailbox] holds of one key.
type letter struct {
	finding *Finding // never changed; nil once the key is unknown
	until   time.Time
}

// flood is a time in which reports had to be dropped.
type flood struct {
	since uint64    // what Dropped was when it began
	until time.Time // no dropped report would have held longer; zero is no flood
}

// answer is what a look at one version of a mailbox returns. It is never
// changed once it was returned.
type answer struct {
	version uint64
	found   []Finding
	err     error
}

// report files f and says whether to ring.
func (m *Mailbox) report(f *Finding, now time.Time) bool {
	hold := f.For
	if hold <= 0 {
		hold = holds
	}
	until := now.Add(hold)

	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.held[f.Key]
	live := l != nil && l.finding != nil
	if live && same(l.finding, f) {
		m.hold(l, until)
		return false
	}
	if !live {
		if !m.room(now) {
			return m.drop(until, now)
		}
		if l = m.held[f.Key]; l == nil { // asked again: making room may have forgotten it
			l = &letter{}
			if m.held == nil {
				m.held = map[string]*letter{}
			}
			m.held[f.Key] = l
		}
		m.live++
	}
	l.finding = keep(f)
	m.hold(l, until)
	return m.tell()
}

// hold sets until when l holds, which a restatement may also shorten.
func (m *Mailbox) hold(l *letter, until time.Time) {
	l.until = until
	if m.next.IsZero() || until.Before(m.next) {
		m.next = until
	}
}

func (m *Mailbox) clear(key string) (ring bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.held[key]
	if l == nil {
		return false
	}
	delete(m.held, key)
	if l.finding != nil {
		m.live--
	}
	if m.live == 0 {
		m.next = time.Time{}
	}
	return m.tell()
}

// tell notes that there is news and says whether the watch must be woken: not
// again before it has looked.
func (m *Mailbox) tell() (ring bool) {
	m.version++
	ring = !m.news
	m.news = true
	return ring
}

// max is how many keys may be held, and how many unknown, or less than 0.
func (m *Mailbox) max() int {
	if m.most == 0 || m.most < -1 {
		return 1000
	}
	return m.most
}

// room tells whether one more key may become sick.
func (m *Mailbox) room(now time.Time) bool {
	most := m.max()
	if most < 0 || m.live < most {
		return true
	}
	m.expire(now)
	return m.live < most
}

// drop refuses a report that would have held until then. Only the first drop of
// a flood is news: a storm must not become a storm of looks.
func (m *Mailbox) drop(until, now time.Time) (ring bool) {
	return m.lose(until, now) && m.tell()
}

// lose counts something that is not held, though it may be sick until then, and
// says whether that began a flood.
func (m *Mailbox) lose(until, now time.Time) (began bool) {
	began = !now.Before(m.flood.until)
	if began {
		m.flood.since = m.dropped
	}
	if until.After(m.flood.until) {
		m.flood.until = until
	}
	m.dropped++
	m.version++
	return began
}

// expire makes unknown whatever nobody vouches for any more.
func (m *Mailbox) expire(now time.Time) {
	if m.next.IsZero() || now.Before(m.next) {
		return
	}
	m.next = time.Time{}
	for _, l := range m.held {
		switch {
		case l.finding == nil:
		case now.Before(l.until):
			m.hold(l, l.until)
		default:
			l.finding = nil
			m.live--
			m.version++
		}
	}
	if most := m.max(); most >= 0 && len(m.held)-m.live > most {
		m.forget(len(m.held)-m.live-most, now)
	}
}

// forget drops the n keys that have been unknown for longest.
func (m *Mailbox) forget(n int, now time.Time) {
	type unknown struct {
		key   string
		since time.Time
	}
	var all []unknown
	for key, l := range m.held {
		if l.finding == nil {
			all = append(all, unknown{key, l.until})
		}
	}
	slices.SortFunc(all, func(a, b unknown) int {
		if c := a.since.Compare(b.since); c != 0 {
			return c
		}
		return strings.Compare(a.key, b.key)
	})
	for _, u := range all[:n] {
		delete(m.held, u.key)
		m.lose(now.Add(holds), now)
	}
}

// snapshot is what an answer is made of, taken under the lock.
type snapshot struct {
	version uint64
	found   []*Finding
	unknown []string
	dropped uint64
	most    int
}

// look returns the last answer, and a snapshot if that is out of date.
func (m *Mailbox) look() (answer, *snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.news = false
	if flooded := !m.flood.until.IsZero(); flooded || !m.next.IsZero() {
		now := time.Now() // half the cost of an empty look, which is most of them
		m.expire(now)
		if flooded && !now.Before(m.flood.until) {
			m.flood = flood{}
			m.version++
		}
	}
	if m.last.version == m.version {
		return m.last, nil
	}
	s := &snapshot{version: m.version, most: m.max()}
	if !m.flood.until.IsZero() {
		s.dropped = m.dropped - m.flood.since
	}
	if m.live > 0 {
		s.found = make([]*Finding, 0, m.live)
	}
	for key, l := range m.held {
		if l.finding == nil {
			s.unknown = append(s.unknown, key)
		} else {
			s.found = append(s.found, l.finding)
		}
	}
	return answer{}, s
}

func (s *snapshot) answer() answer {
	next := answer{version: s.version}
	slices.SortFunc(s.found, func(a, b *Finding) int { return strings.Compare(a.Key, b.Key) })
	if len(s.found) > 0 {
		next.found = make([]Finding, len(s.found))
		for i, f := range s.found {
			next.found[i] = *f
		}
	}
	var errs []error
	if len(s.unknown) > 0 {
		slices.Sort(s.unknown)
		errs = append(errs, errors.New("detect: nothing was heard in time of "+someOf(s.unknown)+": report or clear them"))
	}
	if s.dropped > 0 {
		errs = append(errs, fmt.Errorf("detect: the mailbox had no room beyond %d keys and dropped %d reports of others: clear what is well, or raise MaxKeys", s.most, s.dropped))
	}
	next.err = errors.Join(errs...)
	return next
}
