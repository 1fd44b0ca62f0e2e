package world

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/internal/sim/monitor"
	"github.com/selfheal-go/selfheal/remediate"
)

// resource is what a key of a watch stands for, as it really is.
type resource struct {
	m        *machine
	watch    *watch
	key      string
	fault    int   // numbers its sickness; 0: it is well
	cure     int   // the rung that helps; -1: none does
	masks    []int // temporary measures that are in force, by rung
	critical bool
	value    float64
}

// sick says whether it is, which a temporary measure may hide.
func (r *resource) sick() bool { return r.fault > 0 && !slices.Contains(r.masks, r.cure) }

func (m *machine) resource(w *watch, key string) *resource {
	name := w.Name + "/" + key
	r := m.world[name]
	if r == nil {
		r = &resource{m: m, watch: w, key: key}
		m.world[name] = r
	}
	return r
}

// falls makes it sick, for so long at most.
func (r *resource) falls(cure int, long time.Duration) {
	if r.fault > 0 {
		return
	}
	w := r.m.w
	w.faults++
	n := w.faults
	r.fault, r.cure, r.critical, r.value = n, cure, false, 0
	w.tell(r.m, "%s[%s] falls sick", r.watch.Name, r.key)
	w.after(long, func() {
		if r.fault == n {
			r.fault = 0
			w.tell(r.m, "%s[%s] is well again by itself", r.watch.Name, r.key)
		}
	})
}

// treated is what a step does to it.
func (r *resource) treated(phase remediate.Phase, step int) {
	switch s := &r.watch.Playbook.Steps[step]; {
	case phase == remediate.Verify:
	case phase == remediate.Undo:
		r.masks = slices.DeleteFunc(r.masks, func(n int) bool { return n == step })
	case s.Undo != nil:
		if !slices.Contains(r.masks, step) {
			r.masks = append(r.masks, step)
		}
		if step == r.cure && r.m.w.noise.IntN(4) > 0 {
			// Given a rest, it recovers.
			n := r.fault
			r.m.w.after(time.Duration(r.m.w.noise.Int64N(int64(5*time.Minute))), func() {
				if r.fault == n {
					r.fault = 0
				}
			})
		}
	case step == r.cure:
		r.fault = 0
	}
}

// selfEnds takes back what steps changed in the process that is gone.
func (m *machine) selfEnds() {
	for _, r := range m.world {
		r.masks = slices.DeleteFunc(r.masks, func(n int) bool { return r.watch.Playbook.Steps[n].Scope == remediate.Self })
	}
}

// mostDisk is what a journal of this world may take: its segments, and a snapshot
// beside the one that it replaces.
const mostDisk = 3 << 20

// minute is what may happen to a machine each minute.
func (m *machine) minute() {
	w := m.w
	if w.healed {
		return
	}
	defer w.after(time.Minute, m.minute)
	if used := m.disk.Used(); used > mostDisk {
		w.monitor.Broken(monitor.BoundedMemory, "%s: its journal takes %d bytes, and grows", m.name(), used)
	}
	ws := w.set.watches
	some := func(f Fault) *watch { return &ws[w.among(f, len(ws))] }
	if len(ws) == 0 {
		return
	}
	if w.strikes(Sickness, 0.15) {
		m.sicken(Sickness, some(Sickness))
	}
	if w.strikes(SharedCause, 0.004) {
		w.tell(m, "a shared cause makes much sick at once")
		for i := range ws {
			if w.among(SharedCause, 10) > 0 {
				d := w.span(SharedCause, 0, 20*time.Second)
				w.after(d, func() { m.sicken(SharedCause, &ws[i]) })
			}
		}
	}
	if w.strikes(Avalanche, 0.003) {
		x := some(Avalanche)
		n := 5 + w.among(Avalanche, 40)
		w.tell(m, "%d keys of %s fall sick at once", n, x.Name)
		m.avalanche[x.n] = n
		w.after(w.span(Avalanche, time.Minute, 20*time.Minute), func() { m.avalanche[x.n] = 0 })
	}
	if w.strikes(BlindDetector, 0.02) {
		x := some(BlindDetector)
		m.partly = w.among(BlindDetector, 3) == 0
		m.goesBlind(x, w.span(BlindDetector, time.Second, w.seldom(BlindDetector, 20*time.Minute, 4*time.Hour)))
	}
	if w.strikes(LyingDetector, 0.02) {
		x := some(LyingDetector)
		w.tell(m, "the detector of %s flaps", x.Name)
		m.lying[x.n] = w.now + w.span(LyingDetector, time.Minute, w.seldom(LyingDetector, 30*time.Minute, 4*time.Hour))
	}
	if w.strikes(ClockStep, 0.01) {
		by := []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, 3 * time.Second, -time.Minute}[w.among(ClockStep, 5)]
		m.stepClock(by)
	}
	if w.strikes(DiskFull, 0.005) {
		w.tell(m, "the disk is full")
		m.disk.SetCapacity(m.disk.Used())
		w.after(w.span(DiskFull, time.Minute, time.Hour), func() { m.disk.SetCapacity(1 << 40) })
	}
	if w.strikes(DiskStall, 0.006) {
		d := w.span(DiskStall, 100*time.Millisecond, time.Minute)
		w.tell(m, "the disk stalls for %v", d.Round(time.Millisecond))
		m.stallTill = w.now + d
	}
	if w.strikes(DiskDamage, 0.0005) {
		m.damage()
	}
	if w.strikes(PowerCut, 0.01) {
		m.crash(PowerCut, "at no moment in particular")
	}
	if w.strikes(Kill, 0.01) {
		m.crash(Kill, "at no moment in particular")
	}
	if p := m.p; p != nil && !p.over && w.strikes(Stop, 0.01) {
		p.stop(w.span(Stop, time.Second, 4*time.Minute), "at no moment in particular")
	}
	if p := m.p; p != nil && !p.over && w.strikes(Deploy, 0.01) {
		p.shutDown()
	}
	m.people()
}

func (m *machine) sicken(f Fault, x *watch) {
	w := m.w
	r := m.resource(x, x.keys[w.among(f, len(x.keys))])
	cure := w.among(f, len(x.Playbook.Steps)+1) - 1
	r.falls(cure, w.span(f, 30*time.Second, 3*time.Hour))
}

// damage flips bits of a file in which there are records.
func (m *machine) damage() {
	names, err := m.disk.List()
	if err != nil || len(names) == 0 {
		return
	}
	name := names[m.w.among(DiskDamage, len(names))]
	size := len(m.disk.Bytes(name))
	if size < 4096 {
		return
	}
	m.w.tell(m, "the disk flips bits of %s", name)
	for range 20 {
		m.flipped = true
		_ = m.disk.Flip(name, m.w.among(DiskDamage, min(size, 16<<10)*8))
	}
	m.books.Damaged() // nobody can be held to what is not there
}
