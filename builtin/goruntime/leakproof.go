package goruntime

import "time"

// proofs is what the runtime's leak profile showed.
type proofs struct {
	budget  budget
	every   time.Duration
	window  time.Duration
	next    time.Duration // when to look again though nothing points to a leak
	pause   time.Duration // until the one after
	last    time.Duration
	runs    int
	floor   float64 // least count around the latest run
	minimum int     // LeakOptions.MinLeaked
	growth  int     // LeakOptions.MinGrowth
	found   map[*site]*proof
}

// proof is a site at which goroutines are leaked for certain.
type proof struct {
	readings, misses int
	first            int // count at the first reading,
	since            time.Duration
	count            int
	parked           bool // all of them wait in select {}
	stack            []uintptr
}

func newProofs(o LeakOptions) proofs {
	return proofs{
		budget: budget{stopShare: o.StopShare / 2, cpuShare: o.CPUShare / 2},
		every:  o.ProofEvery, window: o.Window, minimum: o.MinLeaked, growth: o.MinGrowth,
		next: 2 * o.Window, pause: 2 * o.Window, found: map[*site]*proof{},
	}
}

// proven says whether p may be called a leak. Confirmed twice, because that costs
// little and a wrong proof much. A goroutine in select {} was meant to stay, and so
// were the few that follow while a program starts; a number of them that grows as a
// leak does was not.
func (p *proofs) proven(x *proof) bool {
	return x.readings >= 2 && x.count >= p.minimum && (!x.parked || x.count-x.first >= p.growth)
}

func (p *proofs) none() bool {
	for _, x := range p.found {
		if p.proven(x) {
			return false
		}
	}
	return true
}

// due says whether to run the profile now: after a time that doubles while nothing
// is found, sooner if more goroutines stay than around the last run, or to confirm.
func (p *proofs) due(now time.Duration, floor float64, rising bool) bool {
	if now >= p.next {
		return true
	}
	if p.runs == 0 || now-p.last < p.window {
		return false
	}
	for _, x := range p.found {
		if x.readings == 1 || x.misses == 1 {
			return true
		}
	}
	// Within a minute where the count rose a little, within a window where it
	// keeps rising.
	return rising && floor > p.floor || floor >= p.floor+4 && now-p.last >= 4*p.window
}

// seekProof runs the leak profile if it is due and can be afforded.
func (d *LeakDetector) seekProof(now time.Duration, l load) error {
	p := &d.proofs
	base := &d.scales[0]
	floor := base.low
	if base.lows.n > 0 {
		floor = min(floor, base.lows.v[base.lows.n-1])
	}
	rising := false
	for i := range d.scales {
		rising = rising || d.scales[i].rising
	}
	if d.world.prove == nil || d.tooMany(l) || !p.due(now, floor, rising || len(d.suspects) > 0) {
		return nil
	}
	n := time.Duration(l.count)
	expected := cost{
		stop: 100*time.Microsecond + 450*n,
		cpu:  time.Millisecond + 3*time.Microsecond*n + time.Duration(l.live/(1<<20)*450_000),
	}
	if !p.budget.affords(now, expected) {
		return nil
	}
	groups, c, err := d.world.prove()
	end := d.world.now()
	p.budget.spend(end, c)
	p.last, p.floor = now, floor
	p.runs++
	p.pause = min(2*p.pause, p.every)
	p.next = now + p.pause
	if err != nil {
		return err
	}
	p.learn(now, d.names, groups)
	if len(p.found) > 0 {
		// Often enough to show how fast it grows and when it is over.
		p.next = min(p.next, now+max(10*p.window, p.every/10))
	}
	return nil
}

// learn takes one run of the profile.
func (p *proofs) learn(now time.Duration, names *sites, groups []group) {
	type tally struct {
		count  int
		parked bool
		most   group
	}
	seen := map[*site]tally{}
	for _, g := range groups {
		at := names.of(g.stack)
		if at == nil {
			continue
		}
		t, known := seen[at]
		t.parked = parks(g.stack) && (!known || t.parked)
		t.count += g.count
		if g.count > t.most.count {
			t.most = g
		}
		seen[at] = t
	}
	for at, t := range seen {
		x := p.found[at]
		if x == nil {
			x = &proof{first: t.count, since: now}
			p.found[at] = x
		}
		x.readings++
		x.misses = 0
		x.count, x.parked, x.stack = t.count, t.parked, t.most.stack
	}
	for at, x := range p.found {
		if _, ok := seen[at]; ok {
			continue
		}
		if x.misses++; x.misses >= 2 {
			delete(p.found, at)
		}
	}
}
