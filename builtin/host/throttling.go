package host

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/cgroup"
)

// A share of the periods of a quota is judged once enough of them have passed within
// the window: half of those of 100 ms, as is usual, and fewPeriods at the most.
const (
	fewPeriods = 50
	perPeriod  = 200 * time.Millisecond
)

// lookAgain is how often the groups of the process are looked up anew: quotas come
// and processes are moved while they run.
const lookAgain = time.Minute

// throttling watches how often the CPU quota is used up (LX-6).
type throttling struct {
	o       CPUOptions
	root    string
	invalid error

	mu     sync.Mutex
	origin time.Time
	next   time.Duration
	all    []*quota
	stages stages
	early  ripening // for what is left of EarlyFor once the watch has waited for For
}

// quota is one group with a cpu.stat.
type quota struct {
	dir    string
	stat   source
	window window
}

func newThrottling(o Options) *throttling {
	return &throttling{
		o: o.CPU, root: o.Root, origin: time.Now(),
		invalid: o.cpuProblem(namedLevels{"CPU.Throttled", o.CPU.Throttled}),
	}
}

func (t *throttling) Validate() error { return t.invalid }

func (t *throttling) Detect(ctx context.Context) ([]detect.Finding, error) {
	if t.invalid != nil {
		return nil, t.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Since(t.origin)
	if now >= t.next {
		if err := t.find(); err != nil {
			return nil, err
		}
		t.next = now + lookAgain
	}
	var share float64
	var of string
	for _, q := range t.all {
		s, err := q.read(now)
		if err != nil {
			t.next = 0 // the process may have been moved
			return nil, err
		}
		if s > share {
			share, of = s, q.dir
		}
	}
	t.stages.judge(t.o.Throttled, share)
	stages := t.early.of(t.stages, now, t.o.EarlyFor-t.o.For)
	if !stages.any() {
		return nil, nil
	}
	text := fmt.Sprintf("the CPU quota was used up in %s of its periods", percent(share))
	if len(t.all) > 1 && of != "" {
		text += " (" + strings.TrimPrefix(of, strings.TrimSuffix(t.root, "/")) + ")"
	}
	return stages.findings("", text, "%", t.o.Throttled, share, 100, percent), nil
}

// find looks up the groups that count their periods, and keeps those it knows.
func (t *throttling) find() error {
	groups, err := findGroups(t.root, "cpu")
	if err != nil {
		return err
	}
	known := make(map[string]*quota, len(t.all))
	for _, q := range t.all {
		known[q.dir] = q
	}
	t.all = t.all[:0]
	var last error
	for _, dir := range groups.Dirs {
		q := known[dir]
		delete(known, dir)
		if q == nil {
			q = &quota{dir: dir, stat: source{path: dir + "/cpu.stat"}, window: window{length: t.o.Window}}
		}
		text, err := q.stat.read()
		if err != nil {
			last = err
			continue
		}
		if _, counts := cgroup.Field(text, "nr_throttled"); !counts {
			q.stat.close()
			continue // the controller is not switched on in this group
		}
		t.all = append(t.all, q)
	}
	for _, q := range known {
		q.stat.close()
	}
	switch {
	case len(t.all) > 0:
		return nil
	case last != nil:
		return last
	}
	return fmt.Errorf("host: %w (cpu, with a cpu.stat that counts nr_throttled)", cgroup.ErrNone)
}

// read is the share of periods in which the quota was used up.
func (q *quota) read(now time.Duration) (float64, error) {
	text, err := q.stat.read()
	if err != nil {
		return 0, err
	}
	periods, ok := cgroup.Field(text, "nr_periods")
	throttled, too := cgroup.Field(text, "nr_throttled")
	if !ok || !too {
		return 0, fmt.Errorf("host: %s/cpu.stat counts no periods", q.dir)
	}
	p, n, _ := q.window.add(now, periods, throttled)
	if p < min(fewPeriods, uint64(q.window.length/perPeriod)) || p == 0 {
		return 0, nil
	}
	return min(float64(n)/float64(p), 1), nil
}
