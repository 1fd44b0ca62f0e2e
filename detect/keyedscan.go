package detect

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// scan is one pass over the values of a [Keyed]. It keeps what is not plainly
// healthy, so that the lock is taken after the last call of given code.
type scan[N Number] struct {
	of      *keyed[N]
	partial bool // beside an error: then absence is no health, and healthy keys are kept too
	values  []keyValue[N]
	blind   []string
	yield   func(key string, v N) bool // bound once: a closure a look would be garbage
}

type keyValue[N Number] struct {
	key string
	v   N
}

func (s *scan[N]) read(ctx context.Context) error {
	if s.of.byMap != nil {
		values, err := s.of.byMap(ctx)
		s.partial = err != nil
		for key, v := range values {
			s.note(key, v)
		}
		return err
	}
	seq, err := s.of.bySeq(ctx)
	s.partial = err != nil
	if seq != nil {
		seq(s.yield)
	}
	return err
}

func (s *scan[N]) note(key string, v N) bool {
	switch {
	case !finite(v):
		s.blind = append(s.blind, key)
	case s.partial || !s.of.levelOf(key).cleared(v):
		s.values = append(s.values, keyValue[N]{key, v})
	}
	return true
}

// spares keeps the buffers of the last scan for the next one.
type spares[N Number] struct{ idle atomic.Pointer[scan[N]] }

func (p *spares[N]) take(k *keyed[N]) *scan[N] {
	s := p.idle.Swap(nil)
	if s == nil {
		s = &scan[N]{of: k}
		s.yield = s.note
	}
	return s
}

func (p *spares[N]) give(s *scan[N]) {
	const most = 4096 // what a storm left behind is not kept for the calm
	if cap(s.values) > most || cap(s.blind) > most {
		return
	}
	clear(s.values)
	clear(s.blind)
	s.values, s.blind = s.values[:0], s.blind[:0]
	p.idle.Store(s)
}

// alarms are the keys that are sick.
type alarms[N Number] struct {
	mu   sync.Mutex
	look uint64
	sick map[string]*alarm[N]
	out  []Finding // as of the last change; never changed afterwards
}

type alarm[N Number] struct {
	value   N
	finding Finding
	look    uint64 // the last one that found it sick,
	blind   uint64 // or could not tell
	shown   bool   // in out
}

// judge moves every alarm by one scan and returns the findings, sorted by key,
// and how many more keys are sick than may be remembered.
func (a *alarms[N]) judge(k *keyed[N], s *scan[N], complete bool) (found []Finding, more int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sick) == 0 && len(s.values) == 0 {
		return nil, 0
	}
	a.look++
	changed := false
	for _, kv := range s.values {
		l, was := k.levelOf(kv.key), a.sick[kv.key]
		switch {
		case was == nil && !l.over(kv.v):
			continue
		case was != nil && l.cleared(kv.v):
			delete(a.sick, kv.key)
			changed = true
			continue
		case was == nil && k.most >= 0 && len(a.sick) >= k.most:
			more++
			continue
		case was == nil:
			was = &alarm[N]{}
			if a.sick == nil {
				a.sick = map[string]*alarm[N]{}
			}
			a.sick[kv.key] = was
			fallthrough
		case was.value != kv.v:
			was.value, was.finding = kv.v, l.finding(kv.key, kv.v)
			changed = true
		}
		was.look = a.look
	}
	for _, key := range s.blind {
		if was := a.sick[key]; was != nil {
			was.blind = a.look
		}
	}
	return a.settle(complete, changed), more
}

// settle forgets the keys that are healthy or gone and returns the findings.
func (a *alarms[N]) settle(complete, changed bool) []Finding {
	shown := 0
	for key, was := range a.sick {
		show := was.look == a.look
		if !show && complete && was.blind != a.look {
			delete(a.sick, key)
			changed = true
			continue
		}
		if show != was.shown {
			was.shown, changed = show, true
		}
		if show {
			shown++
		}
	}
	if !changed {
		return a.out
	}
	a.out = nil
	if shown == 0 {
		return nil
	}
	a.out = make([]Finding, 0, shown)
	for _, was := range a.sick {
		if was.shown {
			a.out = append(a.out, was.finding)
		}
	}
	slices.SortFunc(a.out, func(x, y Finding) int { return strings.Compare(x.Key, y.Key) })
	return a.out
}
