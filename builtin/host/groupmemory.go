package host

import (
	"errors"
	"fmt"

	"github.com/selfheal-go/selfheal/internal/cgroup"
)

// groupMemory reads how near the process is to the memory limits of its control
// group and those above it.
//
// Its methods are for one goroutine at a time.
type groupMemory struct {
	root  string
	found bool
	v2    bool
	all   []memoryFiles
}

type memoryFiles struct{ limit, usage, stat source }

// memoryUse is the use of the group whose limit is nearest. What the kernel drops
// first, inactive page cache, does not count.
type memoryUse struct{ used, limit uint64 }

func (u memoryUse) share() float64 { return float64(u.used) / float64(u.limit) }

func (g *groupMemory) find() error {
	groups, err := findGroups(g.root, "memory")
	if err != nil {
		return err
	}
	g.close()
	g.v2 = groups.V2
	limit, usage := "/memory.limit_in_bytes", "/memory.usage_in_bytes"
	if g.v2 {
		limit, usage = "/memory.max", "/memory.current"
	}
	for _, dir := range groups.Dirs {
		g.all = append(g.all, memoryFiles{source{path: dir + limit}, source{path: dir + usage}, source{path: dir + "/memory.stat"}})
	}
	g.found = true
	return nil
}

func (g *groupMemory) close() {
	for i := range g.all {
		f := &g.all[i]
		f.limit.close()
		f.usage.close()
		f.stat.close()
	}
	g.all, g.found = nil, false
}

// read is false where nothing limits the memory of the process.
func (g *groupMemory) read() (most memoryUse, ok bool, err error) {
	if !g.found {
		if err := g.find(); errors.Is(err, cgroup.ErrNone) {
			return most, false, nil
		} else if err != nil {
			return most, false, err
		}
	}
	for i := range g.all {
		use, limited, err := g.all[i].read(g.v2)
		if err != nil {
			g.close() // the process may have been moved
			return most, false, err
		}
		if limited && (!ok || use.share() > most.share()) {
			most, ok = use, true
		}
	}
	return most, ok, nil
}

func (f *memoryFiles) read(v2 bool) (use memoryUse, limited bool, err error) {
	text, err := f.limit.read()
	if missing(err) {
		return use, false, nil // the root of a hierarchy has no limit
	}
	if err == nil {
		use.limit, err = parseLimit(text)
	}
	if err != nil || use.limit == cgroup.Unlimited || use.limit == 0 {
		return use, false, err
	}
	if text, err = f.usage.read(); err == nil {
		use.used, err = parseLimit(text)
	}
	if err != nil {
		return use, false, err
	}
	if use.share() < 0.5 {
		return use, true, nil // the statistics are dear, and could only lower it
	}
	if text, err = f.stat.read(); err != nil {
		return use, false, err
	}
	field := "inactive_file"
	if !v2 {
		field = "total_inactive_file"
	}
	if cache, ok := cgroup.Field(text, field); ok {
		use.used -= min(cache, use.used)
	}
	return use, true, nil
}

func parseLimit(text []byte) (uint64, error) {
	n, err := cgroup.Limit(text)
	if err != nil {
		return 0, fmt.Errorf("host: %w", err)
	}
	return n, nil
}
