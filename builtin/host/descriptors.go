package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/cgroup"
)

// hostTable is the key of the host's whole file table.
const hostTable = "host file table"

// listShare bounds the time spent on listing descriptors, on kernels that do not
// simply tell their number: a list is made again only after this many times as long
// as it took.
const listShare = 200

// descriptors watches how many descriptors are open (LX-3).
type descriptors struct {
	o       DescriptorOptions
	invalid error

	mu     sync.Mutex
	origin time.Time
	dir    *fdDir
	kinds  *fdKinds
	limits source
	table  source
	noHost bool // there is no file table to read
	own    stages
	host   stages
	listed int
	next   time.Duration // when to list again
}

func newDescriptors(o Options) *descriptors {
	return &descriptors{
		o: o.Descriptors, invalid: o.descriptorsProblem(), origin: time.Now(),
		dir:    newFDDir(under(o.Root, "/proc/self/fd")),
		kinds:  newFDKinds(o.Root),
		limits: source{path: under(o.Root, "/proc/self/limits")},
		table:  source{path: under(o.Root, "/proc/sys/fs/file-nr")},
	}
}

func (d *descriptors) Validate() error { return d.invalid }

func (d *descriptors) Detect(ctx context.Context) ([]detect.Finding, error) {
	if d.invalid != nil {
		return nil, d.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	found, err := d.process()
	more, hostErr := d.hostTable()
	if err == nil && !d.own.any() && d.o.Reserve != nil {
		_ = d.o.Reserve.refill() // Held says what is lacking; the next look tries again
	}
	if more != nil {
		found = append(found, more...)
	}
	if hostErr != nil {
		err = errors.Join(err, hostErr)
	}
	return found, err
}

func (d *descriptors) process() ([]detect.Finding, error) {
	used, err := d.count()
	if err != nil {
		return nil, err
	}
	text, err := d.limits.read()
	if err != nil {
		return nil, err
	}
	limit, err := parseOpenFiles(text)
	if err != nil {
		return nil, err
	}
	if limit == cgroup.Unlimited || limit == 0 {
		d.own = stages{}
		return nil, nil
	}
	share := float64(used) / float64(limit)
	if d.own.judge(d.o.Levels, share); !d.own.any() {
		return nil, nil
	}
	found := d.own.findings("", fmt.Sprintf("%d of %d descriptors are open (%s)", used, limit, percent(share)), "descriptors", d.o.Levels, share, float64(limit), percent)
	evidence := slices.Clip(d.kinds.top(time.Since(d.origin), d.dir.names))
	if d.o.Reserve != nil {
		evidence = append(evidence, slog.Int("reserved", d.o.Reserve.Held()))
	}
	for i := range found {
		found[i].Evidence = evidence
	}
	return found, nil
}

// count is how many descriptors are open.
func (d *descriptors) count() (int, error) {
	n, ok, err := d.dir.size()
	if ok || err != nil {
		return n, err
	}
	began := time.Since(d.origin)
	if began < d.next {
		return d.listed, nil
	}
	if n, err = d.dir.list(); err != nil {
		return 0, err
	}
	now := time.Since(d.origin)
	d.listed, d.next = n, now+listShare*(now-began)
	return n, nil
}

// hostTable judges the file table of the whole host, about which this process can
// do nothing but tell people.
func (d *descriptors) hostTable() ([]detect.Finding, error) {
	if d.o.HostAct == -1 || d.noHost {
		return nil, nil
	}
	text, err := d.table.read()
	if missing(err) {
		d.noHost = true
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	used, most, err := parseFileTable(text)
	if err != nil {
		return nil, err
	}
	if most == 0 || most >= math.MaxInt64 {
		return nil, nil
	}
	share := float64(used) / float64(most)
	l := Levels{Early: d.o.HostAct, Act: d.o.HostAct, Clear: 0.9 * d.o.HostAct}
	if d.host.judge(l, share); !d.host.any() {
		return nil, nil
	}
	return d.host.findings(hostTable, fmt.Sprintf("%d of %d files of the whole host are open (%s)", used, most, percent(share)), "files", l, share, float64(most), percent), nil
}
