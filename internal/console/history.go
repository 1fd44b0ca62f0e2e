package console

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// How much is remembered in memory.
const (
	keptClosed  = 1000 // incidents that are over
	keptLines   = 2048 // of what happened
	keptSamples = 120  // of an incident; then every other one is dropped
	keptMarks   = 100  // of an incident
	keptOpen    = 2000 // incidents under way of which there is a trail
	resumable   = 512  // lines that a reader who comes back may have missed
	relapse     = time.Hour
	week        = 7 * 24 * time.Hour
)

// A History is what happened lately, for the page: the latest incidents with what
// was read and done, the latest lines, the sums of a week. It is bounded, and safe
// for concurrent use.
type History struct {
	mu     sync.Mutex // never held while anything of others runs
	seq    uint64
	next   chan struct{} // closed by the next line; nil while nobody waits
	lines  ring[Line]
	open   map[string]*record
	keys   map[subject]*record // the same, by what they are about
	closed ring[*Incident]
	healed map[subject]time.Time // when each was healed last, for an hour
	sums   sums
}

type subject struct{ watch, key string }

// record is an incident under way.
type record struct {
	in      Incident
	version uint64
	began   bool // it was opened
	healed  time.Time
	every   int // one of how many samples is kept
	skipped int
}

// NewHistory is empty, and its week begins at from.
func NewHistory(from time.Time) *History {
	return &History{
		lines: ring[Line]{most: keptLines}, closed: ring[*Incident]{most: keptClosed},
		open: map[string]*record{}, keys: map[subject]*record{}, healed: map[subject]time.Time{},
		sums: sums{from: from},
	}
}

// News is what a line does not say. All of it may be missing.
type News struct {
	Severity, Summary string
	Value, Limit      float64
	Unit              string
	Found             bool   // the four above are set
	Rung              *Rung  // an attempt that ended
	Ladder            []Rung // of an incident that opens
}

// Take takes in what happened: an event of this life, or, with Seq 0, what the
// journal says of an earlier one.
func (h *History) Take(l Line, n News) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.Seq > 0 {
		h.seq = l.Seq
	}
	verb, rest := parse(l)
	if verb != "found" && verb != "release" && verb != "inform" {
		h.lines.add(l)
	}
	h.incident(l, n, verb, rest)
	if h.next != nil {
		close(h.next)
		h.next = nil
	}
}

// parse takes a line apart: its first word, and what follows the name.
func parse(l Line) (verb, rest string) {
	verb, rest, _ = strings.Cut(l.Text, " ")
	verb = strings.TrimSuffix(verb, ":")
	rest = strings.TrimPrefix(rest, name(l.Watch, l.Key))
	return verb, strings.TrimSpace(strings.TrimPrefix(rest, ":"))
}

func (h *History) incident(l Line, n News, verb, rest string) {
	switch verb {
	case "hold":
		_, rail, _ := cutLast(rest, ": ")
		h.sums.at(l.Time).hold(rail)
	case "blip":
		h.forget(h.open[l.Incident])
		return
	}
	if l.Incident == "" || l.Watch == "selfheal" {
		return
	}
	r := h.open[l.Incident]
	if r == nil {
		switch verb {
		case "close", "resolve", "undeliverable", "evidence", "snooze", "ack":
			return // of something that is forgotten
		}
		if r = h.begin(l); r == nil {
			return
		}
	}
	r.version++
	if n.Found {
		r.in.Severity, r.in.Summary, r.in.Limit, r.in.Unit = n.Severity, n.Summary, n.Limit, n.Unit
		r.sample(l.Time, n.Value, false)
	}
	if n.Ladder != nil {
		r.in.Ladder = slices.Clone(n.Ladder)
	}
	switch verb {
	case "found":
		return
	case "open":
		if r.in.Summary == "" {
			r.in.Summary = rest
		}
		h.opened(r, l.Time)
	case "step":
		h.climbed(r, l.Time, rest, n.Rung)
	case "undo":
		r.undone(rest)
	case "page":
		if !r.in.Told {
			r.in.Told, r.in.Reason = true, rest
			h.sums.at(l.Time).paged++
		}
	}
	r.mark(Mark{At: l.Time, Kind: verb, Text: strings.TrimSpace(verb + " " + rest)})
	if verb == "close" {
		h.close(r, l.Time)
	}
}

// begin notes an incident of which nothing was known.
func (h *History) begin(l Line) *record {
	if len(h.open) >= keptOpen {
		return nil
	}
	r := &record{in: Incident{ID: l.Incident, Watch: l.Watch, Key: l.Key, Found: l.Time}, every: 1}
	h.open[l.Incident] = r
	h.keys[subject{l.Watch, l.Key}] = r
	return r
}

func (h *History) opened(r *record, at time.Time) {
	of := subject{r.in.Watch, r.in.Key}
	sum := h.sums.at(at)
	if healed, ok := h.healed[of]; r.began || ok && at.Sub(healed) < relapse {
		sum.relapsed++
	}
	if !r.began {
		r.in.Opened = at
		sum.opened++
	}
	r.began, r.healed = true, time.Time{}
}

func (h *History) climbed(r *record, at time.Time, rest string, rung *Rung) {
	step, outcome, _ := cutLast(rest, ": ")
	x := Rung{Step: step, State: "done", Outcome: outcome, Ended: at}
	if rung != nil {
		x = *rung
	}
	if n := slices.IndexFunc(r.in.Ladder, func(o Rung) bool { return o.Step == x.Step }); n >= 0 {
		x.Risk, x.Scope = r.in.Ladder[n].Risk, r.in.Ladder[n].Scope
		r.in.Ladder[n] = x
	} else {
		r.in.Ladder = append(r.in.Ladder, x)
	}
	if outcome == "healed" {
		r.healed = at
	}
}

func (r *record) undone(rest string) {
	step, failed := strings.CutSuffix(rest, ": failed")
	for n := range r.in.Ladder {
		if r.in.Ladder[n].Step == step {
			r.in.Ladder[n].Undo = "undone"
			if failed {
				r.in.Ladder[n].Undo = "failed"
			}
		}
	}
}

func (r *record) mark(m Mark) {
	if len(r.in.Marks) < keptMarks {
		r.in.Marks = append(r.in.Marks, m)
	}
}

// sample keeps a reading; where there are many, evenly fewer.
func (r *record) sample(at time.Time, value float64, clear bool) {
	if n := len(r.in.Samples); n > 0 {
		last := r.in.Samples[n-1]
		if clear && last.Clear {
			return
		}
		if clear == last.Clear {
			if r.skipped++; r.skipped < r.every {
				return
			}
		}
	} else if clear {
		return
	}
	r.skipped = 0
	r.in.Samples = append(r.in.Samples, Sample{At: at, Value: value, Clear: clear})
	r.version++
	if len(r.in.Samples) > keptSamples {
		kept := r.in.Samples[:0]
		for n, s := range r.in.Samples {
			if n%2 == 0 || s.Clear {
				kept = append(kept, s)
			}
		}
		r.in.Samples = kept[:min(len(kept), keptSamples-1)]
		r.every *= 2
	}
}

// close makes an incident one of the past, which nothing changes any longer.
func (h *History) close(r *record, at time.Time) {
	h.forget(r)
	if !r.began {
		return
	}
	r.in.State, r.in.Closed, r.in.Version = "closed", at, r.version
	sum := h.sums.at(at)
	if !r.healed.IsZero() {
		sum.healed++
		sum.heal(r.healed.Sub(r.in.Opened))
		if !r.in.Told {
			sum.avoided++
		}
		for of, when := range h.healed {
			if at.Sub(when) > relapse {
				delete(h.healed, of)
			}
		}
		h.healed[subject{r.in.Watch, r.in.Key}] = at
	}
	in := r.in
	in.Samples, in.Marks = slices.Clone(in.Samples), slices.Clone(in.Marks)
	h.closed.add(&in)
}

func (h *History) forget(r *record) {
	if r == nil {
		return
	}
	delete(h.open, r.in.ID)
	if of := (subject{r.in.Watch, r.in.Key}); h.keys[of] == r {
		delete(h.keys, of)
	}
}

// A Reading is what a detector found of one key.
type Reading struct {
	Key   string
	Value float64
}

// Looked takes in what was read of a watch, of which incidents may be under way.
func (h *History) Looked(watch string, at time.Time, found []Reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for of, r := range h.keys {
		if of.watch != watch {
			continue
		}
		n := slices.IndexFunc(found, func(x Reading) bool { return x.Key == of.key })
		if n < 0 {
			r.sample(at, 0, true)
			continue
		}
		r.sample(at, found[n].Value, false)
	}
}

// Quiet says that no incident is under way, so that no reading is wanted.
func (h *History) Quiet() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.open) == 0
}

// Captured takes in evidence of an incident.
func (h *History) Captured(incident string, es []Evidence) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.open[incident]; r != nil {
		r.in.Evidence = append(r.in.Evidence, es...)
		r.version++
	}
}

// Trail returns what an incident left behind.
func (h *History) Trail(id string) (Trail, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.open[id]; r != nil {
		return Trail{Samples: slices.Clone(r.in.Samples), Marks: slices.Clone(r.in.Marks), Version: r.version}, true
	}
	for _, in := range h.closed.items {
		if in.ID == id {
			return in.Trail, true
		}
	}
	return Trail{}, false
}

// Versions says how far the trail of each incident under way is.
func (h *History) Versions() map[string]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	vs := make(map[string]uint64, len(h.open))
	for id, r := range h.open {
		vs[id] = r.version
	}
	return vs
}

// Past returns the incidents that are over, the latest first, and what the last
// seven days before now came to.
func (h *History) Past(now time.Time) ([]*Incident, Week) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.closed.all()
	slices.Reverse(all)
	return all, h.sums.week(now)
}

// Changed is [Source.Changed].
func (h *History) Changed() (seq uint64, next <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == nil {
		h.next = make(chan struct{})
	}
	return h.seq, h.next
}

// Lines is [Source.Lines].
func (h *History) Lines(after uint64) (lines []Line, first uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.lines.all()
	all = all[max(len(all)-resumable, 0):]
	for _, l := range all {
		if first == 0 && l.Seq > 0 {
			first = l.Seq
		}
		if l.Seq > after {
			lines = append(lines, l)
		}
	}
	if len(all) < resumable {
		first = 0 // nothing was forgotten
	}
	return lines, first
}

// Journal is [Source.Journal].
func (h *History) Journal(skip, limit int) []Line {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.lines.all()
	end := max(len(all)-skip, 0)
	out := slices.Clone(all[max(end-limit, 0):end])
	slices.Reverse(out)
	return out
}
