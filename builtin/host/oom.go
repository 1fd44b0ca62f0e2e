package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/cgroup"
)

// again is the key of a second kill soon after the first, for which people are
// called whatever the ladder has left.
const again = "again"

// nearLimit is the share of a memory limit at which an end that was not clean is put
// down to the lack of memory.
const nearLimit = 0.9

// eventFile counts what happened to a control group for want of memory: memory.events
// in version 2, whose counts include groups below, memory.oom_control in version 1.
type eventFile struct {
	root   string
	source source
	dir    string
	v2     bool
	found  bool
}

func (e *eventFile) read() ([]byte, error) {
	if !e.found {
		groups, err := findGroups(e.root, "memory")
		if err != nil {
			return nil, err
		}
		e.dir, e.v2 = groups.Dirs[0], groups.V2
		e.source.close()
		e.source = source{path: e.dir + "/memory.oom_control"}
		if e.v2 {
			e.source.path = e.dir + "/memory.events"
		}
		e.found = true
	}
	text, err := e.source.read()
	if err != nil {
		e.found = false
	}
	return text, err
}

// kills is how many processes of the group were killed for want of memory.
func (e *eventFile) kills() (uint64, error) {
	text, err := e.read()
	if err != nil {
		return 0, err
	}
	n, ok := cgroup.Field(text, "oom_kill")
	if !ok {
		return 0, fmt.Errorf("host: %s counts no oom_kill: %w", e.source.path, errors.ErrUnsupported)
	}
	return n, nil
}

// oom watches for kills for want of memory (LX-5): of other processes in its control
// group while it runs, and of itself by what it noted before.
type oom struct {
	o       OOMOptions
	invalid error

	mu     sync.Mutex
	file   eventFile
	memory groupMemory
	notes  *notes // nil: nothing is noted
	known  bool
	dir    string // of the group that was counted
	count  uint64
	shown  time.Time // when the last kill was seen
	text   string
	twice  bool
}

func newOOM(o Options) *oom {
	return &oom{
		o: o.OOM, invalid: o.oomProblem(),
		file: eventFile{root: o.Root}, memory: groupMemory{root: o.Root}, notes: newNotes(o),
	}
}

func (m *oom) Validate() error { return m.invalid }

// OnWake is told when a run begins and when it ends: that is all that a clean end
// needs to be noted. It never wakes.
func (m *oom) OnWake(wake func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.notes == nil || m.invalid != nil {
		return
	}
	if wake == nil {
		m.notes.end()
		return
	}
	count, err := m.file.kills()
	group := m.file.dir
	if err != nil {
		group = "" // what is not known proves nothing
	}
	if last := m.notes.begin(group, count); last.known && !last.clean {
		switch {
		case last.kills > 0:
			m.killed("the last run of this process did not end cleanly, and its control group counts a process killed for want of memory")
		case last.near:
			m.killed("the last run of this process did not end cleanly, and was at " + percent(nearLimit) + " of its memory limit or more: it was probably killed for want of memory")
		}
	}
}

// killed notes a kill that was seen now. The lock is held.
func (m *oom) killed(text string) {
	now := time.Now()
	m.twice = m.notes.kill(now, m.o.AgainWithin) || !m.shown.IsZero() && now.Sub(m.shown) < m.o.AgainWithin
	m.shown, m.text = now, text
}

func (m *oom) Detect(ctx context.Context) ([]detect.Finding, error) {
	if m.invalid != nil {
		return nil, m.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file.kills()
	if err == nil {
		if m.known && m.dir == m.file.dir && n > m.count {
			m.killed(killText(n - m.count))
		}
		m.known, m.dir, m.count = true, m.file.dir, n
	}
	if noteErr := m.note(); noteErr != nil {
		err = errors.Join(err, noteErr)
	}
	return m.findings(), err
}

func killText(n uint64) string {
	if n == 1 {
		return "a process of this control group was killed for want of memory"
	}
	return fmt.Sprintf("%d processes of this control group were killed for want of memory", n)
}

// note keeps what explains the end of this run, should it end now.
func (m *oom) note() error {
	if m.notes == nil {
		return nil
	}
	use, limited, err := m.memory.read()
	near := err == nil && limited && use.share() >= nearLimit // else nearness proves nothing
	return m.notes.see(m.dir, m.count, near)
}

func (m *oom) findings() []detect.Finding {
	if m.shown.IsZero() || time.Since(m.shown) >= m.o.ShowFor {
		return nil
	}
	found := []detect.Finding{{Severity: detect.Critical, Summary: m.text}}
	if m.twice {
		found = append(found, detect.Finding{Key: again, Severity: detect.Critical, Summary: m.text + ", for the second time within " + span(m.o.AgainWithin)})
	}
	return found
}

// span writes 1h0m0s as 1h.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// high watches whether the control group is slowed down at its memory.high: any rise
// means that the kernel makes its tasks wait, and one that lasts a minute that it
// will not pass.
type high struct {
	invalid error

	mu    sync.Mutex
	file  eventFile
	known bool
	count uint64
	began time.Time // since when it rises; zero when it does not
	last  time.Time // when it last rose
}

const (
	highFor  = time.Minute      // that it rises before it is a finding
	highCalm = 15 * time.Second // without a rise, and it is none
)

func newHigh(o Options) *high { return &high{invalid: o.oomProblem(), file: eventFile{root: o.Root}} }

func (h *high) Validate() error { return h.invalid }

func (h *high) Detect(ctx context.Context) ([]detect.Finding, error) {
	if h.invalid != nil {
		return nil, h.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	text, err := h.file.read()
	if err != nil {
		return nil, err
	}
	n, ok := cgroup.Field(text, "high")
	if !ok {
		return nil, fmt.Errorf("host: %s counts no high: %w", h.file.source.path, errors.ErrUnsupported)
	}
	now := time.Now()
	if h.known && n > h.count {
		if h.began.IsZero() {
			h.began = now
		}
		h.last = now
	}
	if now.Sub(h.last) >= highCalm {
		h.began = time.Time{}
	}
	h.known, h.count = true, n
	if h.began.IsZero() || now.Sub(h.began) < highFor {
		return nil, nil
	}
	return []detect.Finding{{Summary: "its control group is kept at memory.high: the kernel slows its tasks down"}}, nil
}
