package host

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/cgroup"
)

// pressureFile is where the kernel tells how long tasks were stalled for one
// resource: for the control group of this process where it is of version 2, else for
// the whole host.
type pressureFile struct {
	root, resource string
	source         source
	found          bool
	own            bool // of the control group, not of the host
}

// read finds the file if need be. An error that is [missing] means that the kernel
// does not tell.
func (p *pressureFile) read() (stall, error) {
	if !p.found {
		if err := p.find(); err != nil {
			return stall{}, err
		}
	}
	text, err := p.source.read()
	if err != nil {
		p.found = false // the process may have been moved to another group
		return stall{}, err
	}
	return parsePressure(text)
}

func (p *pressureFile) find() error {
	if g, err := findGroups(p.root, ""); err == nil {
		p.source.close()
		p.source = source{path: g.Dirs[0] + "/" + p.resource + ".pressure"}
		if _, err := p.source.read(); !missing(err) {
			p.found, p.own = err == nil, true
			return err
		}
	}
	p.source.close()
	p.source = source{path: under(p.root, "/proc/pressure/"+p.resource)}
	if _, err := p.source.read(); err != nil {
		return err
	}
	p.found, p.own = true, false
	return nil
}

// whose says whom a share is about.
func (p *pressureFile) whose() string {
	if p.own {
		return "of its control group"
	}
	return "of the host"
}

// memoryPressure watches how long tasks wait for memory (LX-4).
type memoryPressure struct {
	o       MemoryOptions
	invalid error
	group   *groupMemory

	mu     sync.Mutex
	origin time.Time
	file   pressureFile
	window window
	stages stages
	vmstat source // read only while memory is short: it is long
	paid   [3]uint64
	paidAt time.Duration
}

func newMemoryPressure(o Options) *memoryPressure {
	return &memoryPressure{
		o: o.Memory, invalid: o.memoryProblem(), origin: time.Now(), group: &groupMemory{root: o.Root},
		file: pressureFile{root: o.Root, resource: "memory"}, window: window{length: o.Memory.Window},
		vmstat: source{path: under(o.Root, "/proc/vmstat")},
	}
}

func (m *memoryPressure) Validate() error { return m.invalid }

func (m *memoryPressure) Detect(ctx context.Context) ([]detect.Finding, error) {
	if m.invalid != nil {
		return nil, m.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, err := m.file.read()
	if err != nil {
		return nil, err
	}
	now := time.Since(m.origin)
	someFor, fullFor, over := m.window.add(now, s.some, s.full)
	some, full := stalled(someFor, over), stalled(fullFor, over)
	m.stages.move(some > m.o.Some, full > m.o.Full, some < m.o.Some/2 && full < m.o.Full/2)
	if !m.stages.any() {
		return nil, nil
	}
	text := fmt.Sprintf("tasks %s waited for memory %s of the time, all of them %s", m.file.whose(), percent(some), percent(full))
	var found []detect.Finding
	if l := (Levels{Act: m.o.Full, Clear: m.o.Full / 2}); m.stages.acute {
		found = (&stages{acute: true}).findings("", text, "%", l, full, 100, percent)
	}
	if l := (Levels{Early: m.o.Some, Clear: m.o.Some / 2}); m.stages.early {
		found = append(found, (&stages{early: true}).findings("", text, "%", l, some, 100, percent)...)
	}
	evidence := m.evidence(now)
	for i := range found {
		found[i].Evidence = evidence
	}
	return found, nil
}

// evidence says whether the memory is short by our doing or by a neighbour's, and
// what the host pays for it.
func (m *memoryPressure) evidence(now time.Duration) []slog.Attr {
	attrs := []slog.Attr{slog.String("own limit", m.ownLimit())}
	text, err := m.vmstat.read()
	if err != nil {
		return attrs
	}
	for i, name := range [...]string{"pswpin", "workingset_refault_anon", "workingset_refault_file"} {
		n, ok := cgroup.Field(text, name)
		if !ok {
			continue
		}
		if since := now - m.paidAt; m.paidAt > 0 && since > 0 && n >= m.paid[i] {
			attrs = append(attrs, slog.Float64(name+" a second", float64(n-m.paid[i])/since.Seconds()))
		}
		m.paid[i] = n
	}
	m.paidAt = now
	return attrs
}

func (m *memoryPressure) ownLimit() string {
	use, ok, err := m.group.read()
	switch {
	case err != nil:
		return "unknown: " + err.Error()
	case !ok:
		return "none: neighbours share the memory of the host"
	case use.share() < m.o.Near:
		return percent(use.share()) + " in use: the pressure may come from neighbours"
	}
	return percent(use.share()) + " in use"
}

// ours returns nil where the process itself is near the limit of its control group,
// so that a restart gives memory back; else a skip.
func (m *memoryPressure) ours() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	use, ok, err := m.group.read()
	switch {
	case err != nil:
		return fmt.Errorf("host: whose memory is short is not known, so nothing is restarted: %w", err)
	case !ok:
		return skip("no limit of its own says that the memory is held by this process")
	case use.share() < m.o.Near:
		return skip("the control group uses " + percent(use.share()) + " of its limit: the pressure comes from neighbours")
	}
	return nil
}

func stalled(micros uint64, over time.Duration) float64 {
	return min(float64(micros)*1e3/float64(over), 1)
}

// stalls watches how long tasks wait for processors and for I/O (LX-6).
type stalls struct {
	o       CPUOptions
	invalid error

	mu     sync.Mutex
	origin time.Time
	of     []*stallOf
}

type stallOf struct {
	file   pressureFile
	levels Levels
	window window
	stages stages
	early  ripening // for what is left of EarlyFor once the watch has waited for For
	what   string
}

func newStalls(o Options, resources ...string) *stalls {
	s := &stalls{o: o.CPU, origin: time.Now()}
	s.invalid = o.cpuProblem(namedLevels{"CPU.CPUStalled", o.CPU.CPUStalled}, namedLevels{"CPU.IOStalled", o.CPU.IOStalled})
	for _, r := range resources {
		of := &stallOf{file: pressureFile{root: o.Root, resource: r}, window: window{length: o.CPU.Window}}
		if of.levels, of.what = o.CPU.CPUStalled, "a processor"; r == "io" {
			of.levels, of.what = o.CPU.IOStalled, "I/O"
		}
		s.of = append(s.of, of)
	}
	return s
}

func (s *stalls) Validate() error { return s.invalid }

func (s *stalls) Detect(ctx context.Context) ([]detect.Finding, error) {
	if s.invalid != nil {
		return nil, s.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.origin)
	var found []detect.Finding
	var blind error
	for _, of := range s.of {
		read, err := of.file.read()
		if err != nil {
			if blind == nil {
				blind = err
			}
			continue
		}
		micros, _, over := of.window.add(now, read.some, 0)
		share := stalled(micros, over)
		of.stages.judge(of.levels, share)
		if stages := of.early.of(of.stages, now, s.o.EarlyFor-s.o.For); stages.any() {
			text := fmt.Sprintf("some task %s waited for %s %s of the time", of.file.whose(), of.what, percent(share))
			found = append(found, stages.findings(of.file.resource, text, "%", of.levels, share, 100, percent)...)
		}
	}
	return found, blind
}
