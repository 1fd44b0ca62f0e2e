package console

import (
	"cmp"
	"crypto/rand"
	"hash/fnv"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How fresh a view is. Reading everything has a price, which the readers share
// and which bounds how often they make it be paid.
const (
	shortest = 250 * time.Millisecond // between two views
	longest  = 10 * time.Second
	share    = 20  // a view is made at most for 1/20 of the time while much happens,
	idle     = 200 // and for 1/200 while nothing does
)

// views makes a view when a reader needs one, and gives all readers the same.
type views struct {
	src *Source
	one func(*view) map[string]string // renders the parts of which there is one

	mu      sync.Mutex // never held while the source is asked
	boot    string
	current *view
	busy    chan struct{} // closed when the view in the making is there
	spoiled uint64        // grows with every control
	cost    time.Duration // of the latest
}

// view is everything at one moment, cut into pieces that know since when they are
// as they are.
type view struct {
	*State
	boot    string
	version uint64
	seq     uint64 // of the latest event in it
	spoiled uint64
	at      time.Time
	pieces  map[string]*piece
	byName  map[string]int // of Watches
	open    map[string]int // of Open, by id
	closed  map[string]*Incident
	one     map[string]*piece // parts of which there is one, rendered
	chosen  chosen
}

// piece is a part of the page that is sent on its own.
type piece struct {
	version  uint64
	once     sync.Once
	html     string
	lineOnce sync.Once
	line     string // of an incident: the short form
}

// name is what a reader shows to get what changed since.
func (v *view) name() string { return v.boot + "." + strconv.FormatUint(v.version, 10) }

// since is the version that a reader has; 0 when that was of another life.
func (v *view) since(name string) uint64 {
	boot, n, ok := strings.Cut(name, ".")
	if !ok || boot != v.boot {
		return 0
	}
	since, err := strconv.ParseUint(n, 10, 64)
	if err != nil || since > v.version {
		return 0
	}
	return since
}

// spoil says that what was read is no longer so.
func (vs *views) spoil() {
	vs.mu.Lock()
	vs.spoiled++
	vs.mu.Unlock()
}

// pause is how long a view is good enough while much happens, and rest how long
// while nothing is known to.
func (vs *views) pause() time.Duration { return min(max(shortest, share*vs.cost), longest) }
func (vs *views) rest() time.Duration  { return max(longest, idle*vs.cost) }

// beat is when a reader who saw a view looks again, if nothing happens or if
// something did.
func (vs *views) beat() (soon, late time.Duration) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return vs.pause(), vs.rest()
}

// get returns a view. With fresh, it holds all that happened before.
func (vs *views) get(fresh bool) *view {
	for {
		seq, _ := vs.src.Changed()
		vs.mu.Lock()
		v, busy := vs.current, vs.busy
		if v != nil && v.spoiled == vs.spoiled {
			age := time.Since(v.at)
			if age < vs.pause() && (!fresh || v.seq == seq) || v.seq == seq && age < vs.rest() && !fresh {
				vs.mu.Unlock()
				return v
			}
		}
		if busy != nil {
			vs.mu.Unlock()
			<-busy
			continue
		}
		if vs.boot == "" {
			vs.boot = strings.ToLower(rand.Text()[:8])
		}
		done := make(chan struct{})
		vs.busy = done
		next := &view{boot: vs.boot, version: 1, seq: seq, spoiled: vs.spoiled}
		vs.mu.Unlock()
		return vs.make(next, v, done)
	}
}

// make reads a view and shows it to all.
func (vs *views) make(next, last *view, done chan struct{}) *view {
	finished := false
	defer func() {
		vs.mu.Lock()
		vs.busy = nil
		if finished {
			vs.current = next
		}
		vs.mu.Unlock()
		close(done)
	}()
	began := time.Now()
	next.State = vs.src.State()
	next.cut(last, vs.one(next))
	next.at = time.Now()
	vs.mu.Lock()
	vs.cost = next.at.Sub(began)
	vs.mu.Unlock()
	finished = true
	return next
}

// cut orders the view and finds out what changed since the last one.
func (v *view) cut(last *view, one map[string]string) {
	v.Watches = sorted(v.Watches, func(a, b *Watch) int {
		return cmp.Or(urgency(a.State)-urgency(b.State), strings.Compare(a.Name, b.Name))
	})
	v.Open = sorted(v.Open, func(a, b *Incident) int {
		return cmp.Or(first(a.Proposal != nil, b.Proposal != nil), strings.Compare(a.Severity, b.Severity),
			first(a.Told, b.Told), b.Found.Compare(a.Found), strings.Compare(a.ID, b.ID))
	})
	if last != nil {
		v.version = last.version + 1
	}
	v.pieces = make(map[string]*piece, len(v.Watches)+len(v.Open)+len(v.Closed))
	v.byName = make(map[string]int, len(v.Watches))
	v.open = make(map[string]int, len(v.Open))
	v.closed = make(map[string]*Incident, len(v.Closed))
	v.one = make(map[string]*piece, len(one))
	changed := false
	for id, html := range one {
		if last != nil && last.one[id].html == html {
			v.one[id] = last.one[id]
			continue
		}
		changed = true
		v.one[id] = &piece{version: v.version, html: html}
	}
	keep := func(id string, same bool) {
		if same {
			if p := last.pieces[id]; p != nil {
				v.pieces[id] = p
				return
			}
		}
		changed = true
		v.pieces[id] = &piece{version: v.version}
	}
	for n := range v.Watches {
		w := &v.Watches[n]
		v.byName[w.Name] = n
		same := false
		if last != nil {
			was, ok := last.byName[w.Name]
			same = ok && last.Watches[was] == *w
		}
		keep(watchID(w.Name), same)
	}
	for n := range v.Open {
		in := &v.Open[n]
		v.open[in.ID] = n
		same := false
		if last != nil {
			was, ok := last.open[in.ID]
			same = ok && reflect.DeepEqual(&last.Open[was], in)
		}
		keep(incidentID(in.ID), same)
	}
	for _, in := range v.Closed {
		if _, open := v.open[in.ID]; open {
			continue
		}
		v.closed[in.ID] = in
		keep(incidentID(in.ID), last != nil && last.closed[in.ID] != nil)
	}
	if last != nil && !changed && len(v.pieces) == len(last.pieces) {
		v.version = last.version
	}
}

// incident finds one, open or closed.
func (v *view) incident(id string) (*Incident, bool) {
	if n, ok := v.open[id]; ok {
		return &v.Open[n], true
	}
	in, ok := v.closed[id]
	return in, ok
}

// sorted returns a sorted copy. What is sorted is large, so it is moved once.
func sorted[T any](all []T, by func(a, b *T) int) []T {
	order := make([]*T, len(all))
	for n := range all {
		order[n] = &all[n]
	}
	slices.SortFunc(order, by)
	out := make([]T, len(all))
	for n, x := range order {
		out[n] = *x
	}
	return out
}

// urgency orders the states of watches: what is wrong comes first.
func urgency(state string) int {
	if state == "healthy" { // most are
		return len(watchStates)
	}
	return slices.Index(watchStates[:], state)
}

var watchStates = [...]string{"sick", "blind", "invalid", "removing", "unknown", "off", "healthy"}

// first is -1 where only a holds, and 1 where only b does.
func first(a, b bool) int {
	switch {
	case a && !b:
		return -1
	case b && !a:
		return 1
	}
	return 0
}

// The ids of pieces are made of what any name has in common: bytes.
func watchID(name string) string  { return "w" + hashed(name) }
func incidentID(id string) string { return "i" + hashed(id) }
func restID(id string) string     { return "r" + hashed(id) }

func hashed(s string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return strconv.FormatUint(h.Sum64(), 36)
}
