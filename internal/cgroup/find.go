package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// ErrNone says that there are no control groups for a controller. A kernel without
// any has no such files: then it is fs.ErrNotExist.
var ErrNone = errors.New("this process is in no control group of that kind")

// Groups are the control groups of this process for one controller.
type Groups struct {
	V2   bool     // of version 2; else of version 1
	Dirs []string // the folder of its own group, then those above it as far as they can be seen
}

// Find looks a controller up as the kernel tells it below a root directory, which is
// "/" or "" but in tests: version 1 where the controller is mounted so, which it also
// is on hybrid hosts, else version 2. A controller of "" means version 2 itself.
func Find(root, controller string) (Groups, error) {
	own, err := os.ReadFile(filepath.Join(root, filepath.FromSlash("/proc/self/cgroup")))
	if err != nil {
		return Groups{}, err
	}
	mounts, err := os.ReadFile(filepath.Join(root, filepath.FromSlash("/proc/self/mountinfo")))
	if err != nil {
		return Groups{}, err
	}
	name, v2, ok := parseGroup(string(own), controller)
	if !ok {
		return Groups{}, fmt.Errorf("%w (%s)", ErrNone, kindOf(controller))
	}
	m, ok := parseMount(string(mounts), controller, name, v2)
	if !ok {
		return Groups{}, fmt.Errorf("%w (%s is not mounted)", ErrNone, kindOf(controller))
	}
	g := Groups{V2: v2}
	for rel := m.inside(name); ; rel = path.Dir(rel) {
		g.Dirs = append(g.Dirs, filepath.Join(root, filepath.FromSlash(m.point+"/"+rel)))
		if rel == "/" {
			return g, nil
		}
	}
}

func kindOf(controller string) string {
	if controller == "" {
		return "version 2"
	}
	return controller
}

// parseGroup finds the group of a controller in /proc/self/cgroup, whose lines are
// "4:memory:/a/b" or, for version 2, "0::/a/b" (cgroups(7)).
func parseGroup(text, controller string) (name string, v2, ok bool) {
	for line := range strings.Lines(text) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, group, found := strings.Cut(rest, ":")
		switch {
		case !found || !strings.HasPrefix(group, "/"):
		case controllers == "" && id == "0":
			if !ok {
				name, v2, ok = group, true, true
			}
		case controller != "" && listed(controllers, controller):
			return group, false, true
		}
	}
	return name, v2, ok
}

// mounted is a hierarchy: which part of it is mounted, and where.
type mounted struct{ root, point string }

// parseMount finds it in /proc/self/mountinfo (proc(5)): where a hierarchy is mounted
// more than once, as below a container that runs others, the first mount in which the
// group is seen.
func parseMount(text, controller, group string, v2 bool) (m mounted, ok bool) {
	for line := range strings.Lines(text) {
		before, after, both := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		own, kind := strings.Fields(before), strings.Fields(after)
		if !both || len(own) < 5 || len(kind) < 3 {
			continue
		}
		if v2 && kind[0] != "cgroup2" || !v2 && (kind[0] != "cgroup" || !listed(kind[2], controller)) {
			continue
		}
		next := mounted{unescape(own[3]), unescape(own[4])}
		if _, inside := next.find(group); inside {
			return next, true
		}
		if !ok {
			m, ok = next, true
		}
	}
	return m, ok
}

func listed(names, want string) bool {
	for n := range strings.SplitSeq(names, ",") {
		if n == want {
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
		if c, ok := octal(s[i:]); ok {
			b.WriteByte(c)
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(s string) (c byte, ok bool) {
	if len(s) < 4 || s[0] != '\\' || s[1] > '3' {
		return 0, false
	}
	for _, d := range []byte(s[1:4]) {
		if d < '0' || d > '7' {
			return 0, false
		}
		c = c<<3 | (d - '0')
	}
	return c, true
}

// inside is the path of a group below the mount point. A container may know its
// group by the host's name while only its own part is mounted.
func (m mounted) inside(group string) string {
	rel, _ := m.find(group)
	return rel
}

// find is inside, and whether the group is seen there.
func (m mounted) find(group string) (rel string, seen bool) {
	group, root := path.Clean("/"+group), path.Clean("/"+m.root)
	switch {
	case root == "/":
		return group, true
	case group == root:
		return "/", true
	case strings.HasPrefix(group, root+"/"):
		return strings.TrimPrefix(group, root), true
	}
	return "/", false
}
