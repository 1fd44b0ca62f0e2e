package evidence

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/selfheal-go/selfheal/escalate"
)

// System is system.txt: the pressure that the kernel sees (PSI), and limits, use
// and events of the control group that this process is in, of version 1 or 2, as
// the kernel words them. root is where proc and sys lie; "" is /. What is not
// there is named at the end. It is [ErrAbsent] elsewhere than on Linux.
func System(root string) Part {
	if root == "" {
		root = "/"
	}
	return Part{Name: "system.txt", Type: TextType, Write: func(ctx context.Context, _ escalate.Incident, w io.Writer) error {
		return writeSystem(ctx, root, w)
	}}
}

// systemFiles are read whatever the control group is.
var systemFiles = []string{
	"proc/pressure/cpu", "proc/pressure/memory", "proc/pressure/io", "proc/pressure/irq",
	"proc/loadavg", "proc/meminfo", "proc/self/status", "proc/self/limits",
}

// groupFiles are those of a controller's directory; "" is version 2, which has one
// directory for all.
var groupFiles = map[string][]string{
	"": {
		"cgroup.controllers", "cpu.max", "cpu.stat", "cpu.pressure", "memory.current", "memory.max", "memory.high", "memory.peak",
		"memory.events", "memory.stat", "memory.swap.current", "memory.swap.max", "memory.pressure", "io.pressure", "io.stat", "pids.current", "pids.max",
	},
	"cpu":    {"cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.stat"},
	"memory": {"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.failcnt", "memory.oom_control", "memory.stat"},
	"pids":   {"pids.current", "pids.max"},
}

const mostSystem = 16 << 10 // bytes of one file

// A reader reads a small file by its path from the root, without a slash before it.
type reader func(name string) (string, error)

// systemText writes what read finds.
func systemText(ctx context.Context, read reader, w io.Writer) error {
	b := bufio.NewWriter(w)
	var missing []string
	found := false
	show := func(name string) {
		text, err := read(name)
		if err != nil {
			missing = append(missing, err.Error())
			return
		}
		found = true
		fmt.Fprintf(b, "# /%s\n%s\n", name, strings.TrimRight(text, "\n"))
	}
	for _, name := range systemFiles {
		if ctx.Err() != nil {
			break
		}
		show(name)
	}
	dirs, err := groupDirs(read)
	if err != nil {
		missing = append(missing, err.Error())
	}
	for _, d := range dirs {
		for _, name := range groupFiles[d.controller] {
			if ctx.Err() != nil {
				break
			}
			show(path.Join(d.dir, name))
		}
	}
	if !found {
		return absent("no pressure and no control group can be read here: %s", strings.Join(missing, "; "))
	}
	for _, why := range missing {
		fmt.Fprintf(b, "# left out: %s\n", why)
	}
	return b.Flush()
}

// groupDir is where the files of a controller lie.
type groupDir struct{ controller, dir string }

// groupDirs finds the control group of this process: proc/self/cgroup names it
// within a hierarchy, and proc/self/mountinfo says where that is mounted
// (cgroups(7), proc_pid_mountinfo(5)).
func groupDirs(read reader) ([]groupDir, error) {
	groups, err := read("proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	mounts, err := read("proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var dirs []groupDir
	for line := range strings.Lines(groups) {
		// hierarchy:controllers:path
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		for _, c := range strings.Split(f[1], ",") {
			if groupFiles[c] == nil || (c == "") != (f[0] == "0") {
				continue
			}
			if dir, ok := mountOf(mounts, c, f[2]); ok {
				dirs = append(dirs, groupDir{c, dir})
			}
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("no control group of this process is mounted here")
	}
	return dirs, nil
}

// mountOf is where a group lies beneath the mount of its controller.
func mountOf(mounts, controller, group string) (dir string, ok bool) {
	for line := range strings.Lines(mounts) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(kind) < 3 {
			continue
		}
		switch {
		case controller == "" && kind[0] != "cgroup2":
			continue
		case controller != "" && (kind[0] != "cgroup" || !slices.Contains(strings.Split(kind[2], ","), controller)):
			continue
		}
		root, at := unescape(f[3]), unescape(f[4])
		rel, under := strings.CutPrefix(group, strings.TrimSuffix(root, "/"))
		if !under || rel != "" && rel[0] != '/' {
			rel = "" // of another namespace: what is mounted is what we see of it
		}
		return strings.TrimPrefix(path.Join("/", at, path.Join("/", rel)), "/"), true
	}
	return "", false
}

// unescape undoes what mountinfo does to blanks and backslashes: \040.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1]) && isOctal(s[i+2]) && isOctal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(c byte) bool { return '0' <= c && c <= '7' }
