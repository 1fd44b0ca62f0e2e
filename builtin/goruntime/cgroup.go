package goruntime

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A hierarchy is how a controller is reached: the folders of the group of this
// process and of every group above it, innermost first. None where there are no
// control groups.
type hierarchy struct {
	v2   bool
	dirs []string
}

// findHierarchy looks a controller up under a root directory, as the kernel says
// in /proc/self: version 1 where the controller is mounted so (also on hybrid
// hosts), else version 2.
func findHierarchy(root, controller string) (hierarchy, error) {
	groups, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if errors.Is(err, fs.ErrNotExist) {
		return hierarchy{}, nil
	}
	if err != nil {
		return hierarchy{}, fmt.Errorf("goruntime: control groups: %w", err)
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if errors.Is(err, fs.ErrNotExist) {
		return hierarchy{}, nil
	}
	if err != nil {
		return hierarchy{}, fmt.Errorf("goruntime: control groups: %w", err)
	}
	group, v2, ok := groupOf(string(groups), controller)
	if !ok {
		return hierarchy{}, nil
	}
	m, ok := mountOf(string(mounts), controller, v2)
	if !ok {
		return hierarchy{}, nil
	}
	h := hierarchy{v2: v2}
	for rel := m.inside(group); ; rel = path.Dir(rel) {
		h.dirs = append(h.dirs, filepath.Join(root, filepath.FromSlash(m.point), filepath.FromSlash(rel)))
		if rel == "/" {
			return h, nil
		}
	}
}

// groupOf finds the group of a controller in /proc/self/cgroup, whose lines are
// "4:memory:/a/b" or, for version 2, "0::/a/b".
func groupOf(text, controller string) (group string, v2, ok bool) {
	for line := range strings.Lines(text) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, name, found := strings.Cut(rest, ":")
		switch {
		case !found || !strings.HasPrefix(name, "/"):
		case controllers == "" && id == "0":
			if !ok {
				group, v2, ok = name, true, true
			}
		default:
			for c := range strings.SplitSeq(controllers, ",") {
				if c == controller {
					return name, false, true
				}
			}
		}
	}
	return group, v2, ok
}

// mount is a mounted hierarchy: which part of it, and where.
type mount struct{ root, point string }

// mountOf finds it in /proc/self/mountinfo (proc(5)).
func mountOf(text, controller string, v2 bool) (mount, bool) {
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		own, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(own) < 5 || len(kind) < 3 {
			continue
		}
		m := mount{unescape(own[3]), unescape(own[4])}
		if v2 && kind[0] == "cgroup2" {
			return m, true
		}
		if !v2 && kind[0] == "cgroup" && hasOption(kind[2], controller) {
			return m, true
		}
	}
	return mount{}, false
}

func hasOption(options, want string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == want {
			return true
		}
	}
	return false
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// inside is the path of a group below the mount point. A container may see its
// group by the host's name while only its own part is mounted.
func (m mount) inside(group string) string {
	group, root := path.Clean("/"+group), path.Clean("/"+m.root)
	switch {
	case root == "/":
		return group
	case group == root:
		return "/"
	case strings.HasPrefix(group, root+"/"):
		return strings.TrimPrefix(group, root)
	}
	return "/"
}

// A gauge file is kept open and read again and again without allocating.
type gaugeFile struct {
	file *os.File
	buf  []byte
}

func openGauge(name string, size int) (*gaugeFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &gaugeFile{f, make([]byte, size)}, nil
}

func (g *gaugeFile) read() ([]byte, error) {
	n, err := g.file.ReadAt(g.buf, 0)
	if n == 0 && err != nil {
		return nil, err
	}
	return g.buf[:n], nil
}

// unlimited is what a limit is that does not bind: version 2 says "max", version 1
// a number that no machine has.
const unlimited = math.MaxUint64

// parseLimit reads a number or "max".
func parseLimit(text []byte) (uint64, error) {
	text = bytes.TrimSpace(text)
	if string(text) == "max" {
		return unlimited, nil
	}
	n, ok := parseUint(text)
	if !ok {
		return 0, fmt.Errorf("%.40q is no number", text)
	}
	if n >= 1<<60 {
		return unlimited, nil
	}
	return n, nil
}

// parseUint is strconv.ParseUint without the string.
func parseUint(text []byte) (n uint64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' || n > (math.MaxUint64-9)/10 {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, len(text) > 0
}

// statField finds "name 123" in a file of such lines.
func statField(text []byte, name string) (uint64, bool) {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, newline)
		if len(line) > len(name) && line[len(name)] == ' ' && string(line[:len(name)]) == name {
			return parseUint(line[len(name)+1:])
		}
	}
	return 0, false
}

var newline = []byte("\n")

// refreshEvery is how often the hierarchy is looked up anew: limits can come and
// processes can be moved while they run.
const refreshEvery = time.Minute

// bound is the limit of one group.
type bound struct {
	dir                string
	limit, usage, stat *gaugeFile
	cache              string // the field of stat that says what the kernel can take back
}

// bounds reads what a controller allows this process.
type bounds struct {
	root, controller string
	fresh            time.Duration // until when levels hold, plus 1
	all              []bound
	err              error
}

// names of the files of a controller.
func (b *bounds) files(v2 bool) (limit, usage, stat, cache string) {
	switch {
	case b.controller == "pids":
		return "pids.max", "pids.current", "", ""
	case v2:
		return "memory.max", "memory.current", "memory.stat", "inactive_file"
	}
	return "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file"
}

func (b *bounds) refresh() {
	b.close()
	var h hierarchy
	if h, b.err = findHierarchy(b.root, b.controller); b.err != nil {
		return
	}
	limit, usage, stat, cache := b.files(h.v2)
	for _, dir := range h.dirs {
		// The root of a hierarchy has no limit of its own.
		l, err := openGauge(filepath.Join(dir, limit), 64)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			b.err = fmt.Errorf("goruntime: control groups: %w", err)
			return
		}
		x := bound{dir: dir, limit: l, cache: cache}
		b.all = append(b.all, x)
		last := &b.all[len(b.all)-1]
		if last.usage, err = openGauge(filepath.Join(dir, usage), 64); err != nil {
			b.err = fmt.Errorf("goruntime: control groups: %w", err)
			return
		}
		if stat != "" {
			if last.stat, err = openGauge(filepath.Join(dir, stat), 16<<10); err != nil {
				b.err = fmt.Errorf("goruntime: control groups: %w", err)
				return
			}
		}
	}
}

func (b *bounds) close() {
	for _, x := range b.all {
		for _, g := range []*gaugeFile{x.limit, x.usage, x.stat} {
			if g != nil {
				_ = g.file.Close() // it was only read
			}
		}
	}
	b.all, b.err = b.all[:0], nil
}

// grip is one group's limit and use.
type grip struct {
	limit, used uint64
	dir         string
}

func (g grip) share() float64 { return float64(g.used) / float64(g.limit) }

// tightest returns the group whose limit is nearest, and the least number by which
// any could still grow. ok is false where nothing limits.
func (b *bounds) tightest(now time.Duration) (most grip, headroom uint64, ok bool, err error) {
	if now+1 >= b.fresh {
		b.refresh()
		b.fresh = now + 1 + refreshEvery
	}
	if b.err != nil {
		return grip{}, 0, false, b.err
	}
	headroom = math.MaxUint64
	for i := range b.all {
		g, limited, err := b.all[i].read()
		if err != nil {
			b.fresh = 0 // the process may have been moved
			return grip{}, 0, false, err
		}
		if !limited {
			continue
		}
		headroom = min(headroom, g.limit-min(g.used, g.limit))
		if !ok || g.share() > most.share() {
			most, ok = g, true
		}
	}
	return most, headroom, ok, nil
}

func (x *bound) read() (g grip, limited bool, err error) {
	text, err := x.limit.read()
	if err == nil {
		g.limit, err = parseLimit(text)
	}
	if err != nil || g.limit == unlimited || g.limit == 0 {
		return g, false, x.wrap(err)
	}
	if text, err = x.usage.read(); err == nil {
		g.used, err = parseLimit(text)
	}
	if err != nil {
		return g, false, x.wrap(err)
	}
	if x.stat != nil {
		if text, err = x.stat.read(); err != nil {
			return g, false, x.wrap(err)
		}
		if cache, ok := statField(text, x.cache); ok {
			g.used -= min(cache, g.used) // page cache that the kernel drops first
		}
	}
	g.dir = x.dir
	return g, true, nil
}

func (x *bound) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("goruntime: control group %s: %w", x.dir, err)
}
