package goruntime

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// A LeakDetector finds goroutines that never end. [NewLeakDetector] makes it; it
// is a [detect.Detector], safe for concurrent use.
//
// Each look reads two numbers of runtime/metrics, which costs below a microsecond
// and nothing that grows with the program. Only while the lower envelope of the
// count rises does it group all goroutines by the site that started them, to find
// whose count rises with it, and let the runtime prove the leak where the program
// can: see the package documentation for what each verdict means.
//
// A finding's Key is the site, such as "main.serve.func1 (app/main.go:42)"; its
// Value is the count of goroutines there, its label "verdict" is "proven" or
// "suspected". A proven leak lasts until two runs of the leak profile in a row no
// longer show it, since a leaked goroutine can drop out of one. A suspicion lasts
// until half of the growth is gone, or until nothing was added for twice as
// long as it took to arise: then it was a rise to a steady state. A site that was
// cleared so is suspected again only once it is a fifth and MinGrowth above the
// highest count that it had then.
type LeakDetector struct {
	o       LeakOptions
	invalid error

	mu     sync.Mutex
	origin time.Time
	world  world
	names  *sites
	looks  budget // at sites
	proofs proofs
	scales []scale

	suspects map[*site]*suspect
	cleared  map[*site]float64 // the highest count of sites whose suspicion was dropped
	last     snapshot          // the latest
	lastAt   time.Duration
}

// world is what a detector sees; tests put another in its place.
type world struct {
	now     func() time.Duration
	read    func() load
	take    func(about int, names *sites) (snapshot, cost)
	release func()
	prove   func() ([]group, cost, error) // nil where the program cannot
}

// suspect is a site under suspicion.
type suspect struct {
	scale    int
	since    time.Duration // when the growth began
	baseline float64       // and at which count
	count    float64       // now
	recent   series        // counts,
	peak     float64       // and the highest that they stayed at; a burst is none
	mark     float64       // the count when it was last seen to grow,
	markedAt time.Duration
	stack    []uintptr
}

// NewLeakDetector returns a detector for goroutine leaks. Wrong options are
// reported by Validate, and make it blind.
func NewLeakDetector(o LeakOptions) *LeakDetector {
	o = o.effective()
	d := &LeakDetector{
		o: o, invalid: o.problem(), origin: time.Now(), names: newSites(o.Ignore),
		// One half each for looks and for proofs, which cost more.
		looks:    budget{stopShare: o.StopShare / 2, cpuShare: o.CPUShare / 2},
		suspects: map[*site]*suspect{}, cleared: map[*site]float64{},
	}
	for w, n := o.Window, 0; n < 5; w, n = 4*w, n+1 {
		d.scales = append(d.scales, scale{window: w})
	}
	d.world = d.real()
	if o.ProofEvery == -1 {
		d.world.prove = nil
	}
	d.proofs = newProofs(d.o)
	return d
}

// real is the world of the running program.
func (d *LeakDetector) real() world {
	counts, meter, film := newLoadReader(), newMeter(), &camera{}
	w := world{
		now:  func() time.Duration { return time.Since(d.origin) },
		read: counts.read,
		take: func(about int, names *sites) (shot snapshot, c cost) {
			c = meter.of(func() { shot = film.take(about, names) })
			return shot, c
		},
		release: film.release,
	}
	if provable() {
		var text bytes.Buffer
		w.prove = func() (found []group, c cost, err error) {
			c = meter.of(func() { found, err = prove(&text) })
			return found, c, err
		}
	}
	return w
}

// Validate reports options that make no sense.
func (d *LeakDetector) Validate() error { return d.invalid }

// Detect takes a reading and reports every site that leaks, the worst first. It
// is blind only while its options are wrong or ctx is over.
func (d *LeakDetector) Detect(ctx context.Context) ([]detect.Finding, error) {
	if d.invalid != nil {
		return nil, d.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.world.read()
	now := d.world.now()
	var closed [8]bool
	wanted := false
	for i := range d.scales {
		s := &d.scales[i]
		if !s.add(now, l.count, l.created) {
			continue
		}
		s.look(max(3, float64(d.o.MinGrowth)/6))
		closed[i] = true
		wanted = wanted || s.rising
	}
	// A suspicion is kept up to date by the shortest windows, however slow the growth
	// was: what helped against it is to show soon.
	if wanted || closed[0] && len(d.suspects) > 0 {
		d.group(now, l)
		d.judge(now, l, &closed)
	}
	err := d.seekProof(now, l)
	if len(d.suspects) == 0 && d.proofs.none() {
		d.rest()
		return nil, err
	}
	return d.findings(now), err
}

func (d *LeakDetector) suspectsOf(scale int) bool {
	for _, s := range d.suspects {
		if s.scale == scale {
			return true
		}
	}
	return false
}

// group takes a snapshot if it can be afforded.
func (d *LeakDetector) group(now time.Duration, l load) {
	if d.tooMany(l) {
		return
	}
	n := time.Duration(l.count)
	expected := cost{stop: 20*time.Microsecond + 6*n, cpu: 70*time.Microsecond + 850*n} // as measured: see the package documentation
	if !d.looks.affords(now, expected) {
		return
	}
	shot, c := d.world.take(int(l.count), d.names)
	d.looks.spend(d.world.now(), c)
	if shot.counts != nil {
		d.last, d.lastAt = shot, now
	}
}

func (d *LeakDetector) tooMany(l load) bool {
	return d.o.MaxGoroutines != -1 && l.count > float64(d.o.MaxGoroutines)
}

// judge takes the snapshot into each scale that just completed a window, and looks
// who grows.
func (d *LeakDetector) judge(now time.Duration, l load, closed *[8]bool) {
	fresh := d.last.counts != nil && d.lastAt == now
	d.review(now, l, fresh)
	for i := range d.scales {
		s := &d.scales[i]
		switch {
		case !closed[i]:
			continue
		case s.calm >= points && !d.suspectsOf(i):
			s.forget()
			continue
		case fresh:
			s.note(now, d.last.counts)
		}
		growth, ok := d.grows(i)
		if !ok {
			s.streak = 0
			continue
		}
		if s.streak++; s.streak < 2 {
			continue
		}
		d.accuse(now, i, growth, l)
	}
}

// grows says whether the count of all goroutines rises as that of a leak would.
func (d *LeakDetector) grows(i int) (growth float64, ok bool) {
	s := &d.scales[i]
	growth, ok = sustained(s.lows.values())
	ok = ok && s.lows.n == points && growth >= float64(d.o.MinGrowth) &&
		!explained(s.lows.values(), s.created.values()) &&
		(i+1 == len(d.scales) || !slowing(d.scales[i+1].lows.values()))
	return growth, ok
}

// accuse finds the sites whose own envelope rises all the time and that make up a
// fair part of the growth. A rise without such a site is many small changes, and
// accuses nobody, unless there are too many goroutines to look.
func (d *LeakDetector) accuse(now time.Duration, i int, growth float64, l load) {
	s := &d.scales[i]
	if d.tooMany(l) {
		d.suspect(now, d.names.nobody(), i, s.lows.values(), l.count)
		return
	}
	if s.taken == 0 || now-s.noted > 5*s.window {
		return // it was too dear to look for a while
	}
	for at, g := range s.groups {
		v := g.values()
		if own, ok := attributed(v); ok && own >= 0.1*growth && own >= float64(d.o.MinGrowth)/3 {
			d.suspect(now, at, i, v, v[len(v)-1])
		}
	}
}

func (d *LeakDetector) suspect(now time.Duration, at *site, i int, v []float64, count float64) {
	if d.suspects[at] != nil || !d.beyondCleared(at, count) {
		return
	}
	d.suspects[at] = &suspect{
		scale: i, since: now - time.Duration(len(v))*d.scales[i].window,
		baseline: envelope(v)[0], count: count, peak: count, mark: count, markedAt: now,
		stack: d.last.stacks[at].stack,
	}
}

// beyondCleared says whether the count of a site is well above where it was when an
// earlier suspicion proved wrong: a pool that breathes is suspected once, not every
// time.
func (d *LeakDetector) beyondCleared(at *site, count float64) bool {
	before, known := d.cleared[at]
	return !known || count >= before+max(float64(d.o.MinGrowth), 0.2*before)
}

// review brings the suspects up to date and drops those that are cleared.
func (d *LeakDetector) review(now time.Duration, l load, fresh bool) {
	nobody := d.names.nobody()
	for at, s := range d.suspects {
		switch {
		case at == nobody && d.tooMany(l):
			s.count = l.count
		case !fresh:
			continue
		case at == nobody: // few enough again to tell them apart
			delete(d.suspects, at)
			continue
		default:
			s.count = float64(d.last.counts[at])
		}
		s.recent.push(s.count)
		s.peak = max(s.peak, slices.Min(s.recent.values()))
		if g := d.last.stacks[at]; g.count > 0 {
			s.stack = g.stack
		}
		if s.count >= s.mark+max(2, 0.02*(s.mark-s.baseline)) {
			s.mark, s.markedAt = s.count, now
		}
		patience := 2 * points * d.scales[s.scale].window
		if s.count <= s.baseline+(s.peak-s.baseline)/2 || now-s.markedAt > patience {
			delete(d.suspects, at)
			d.cleared[at] = max(d.cleared[at], s.peak)
		}
	}
}

// rest gives back what only a suspicion needs.
func (d *LeakDetector) rest() {
	for i := range d.scales {
		if len(d.scales[i].groups) > 0 {
			return
		}
	}
	if d.last.counts != nil {
		d.last = snapshot{}
		d.world.release()
	}
}
