package cgroup

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	v2Mounts = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	v1Mounts = "36 25 0:33 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n40 25 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)

func TestFind(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the names of the tree are Linux's")
	}
	for name, c := range map[string]struct {
		groups, mounts, controller string
		want                       Groups
	}{
		"v2":                       {"0::/pod/app\n", v2Mounts, "memory", Groups{true, []string{"/sys/fs/cgroup/pod/app", "/sys/fs/cgroup/pod", "/sys/fs/cgroup"}}},
		"v1":                       {"7:pids:/x\n4:memory:/docker/a1\n0::/y\n", v1Mounts, "memory", Groups{false, []string{"/sys/fs/cgroup/memory/docker/a1", "/sys/fs/cgroup/memory/docker", "/sys/fs/cgroup/memory"}}},
		"hybrid":                   {"4:memory:/\n0::/a\n", v1Mounts + v2Mounts, "", Groups{true, []string{"/sys/fs/cgroup/a", "/sys/fs/cgroup"}}},
		"a container":              {"4:memory:/docker/a1\n", "36 25 0:33 /docker/a1 /sys/fs/cgroup/mem\\040ory ro - cgroup cgroup rw,cpuacct,memory\n", "memory", Groups{false, []string{"/sys/fs/cgroup/mem ory"}}},
		"named from above":         {"0::/../other\n", "29 23 0:26 /me /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "memory", Groups{true, []string{"/sys/fs/cgroup"}}},
		"a container that has own": {"0::/docker/x\n", "36 35 0:26 /other /a rw - cgroup2 cgroup2 rw\n37 35 0:26 /docker /b rw - cgroup2 cgroup2 rw\n", "memory", Groups{true, []string{"/b/x", "/b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			proc := filepath.Join(root, "proc", "self")
			require.NoError(t, os.MkdirAll(proc, 0o700))
			_, err := Find(root, c.controller)
			require.ErrorIs(t, err, fs.ErrNotExist)
			require.NoError(t, os.WriteFile(filepath.Join(proc, "cgroup"), []byte(c.groups), 0o600))
			_, err = Find(root, c.controller)
			require.ErrorIs(t, err, fs.ErrNotExist)
			require.NoError(t, os.WriteFile(filepath.Join(proc, "mountinfo"), []byte("1 2 3:4 / / rw - ext4 /dev/sda rw\n"), 0o600))
			_, err = Find(root, c.controller)
			require.ErrorIs(t, err, ErrNone)
			require.ErrorContains(t, err, "is not mounted)")
			require.NoError(t, os.WriteFile(filepath.Join(proc, "mountinfo"), []byte(c.mounts), 0o600))
			got, err := Find(root, c.controller)
			require.NoError(t, err)
			for i, dir := range got.Dirs {
				got.Dirs[i] = strings.TrimPrefix(dir, root)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestGroupsAreFound(t *testing.T) {
	for _, c := range []struct{ groups, controller, want string }{
		{"0::/a b\n", "memory", "/a b v2"},
		{"4:memory:/a\n0::/b\n", "memory", "/a v1"},
		{"0::/b\n4:cpu,cpuacct:/a\n", "cpu", "/a v1"},
		{"4:memory:/a\n0::/b\n", "cpu", "/b v2"},
		{"4:memory:/a\n0::/b\n", "", "/b v2"},
		{"1:name=systemd:/x\n", "memory", "none"},
		{"3::/x\n", "", "none"},
	} {
		name, v2, ok := parseGroup(c.groups, c.controller)
		got := name + map[bool]string{true: " v2", false: " v1"}[v2]
		if !ok {
			got = "none"
		}
		require.Equal(t, c.want, got, c.groups)
	}
	m, ok := parseMount("36 35 0:26 /docker/x /sys/fs/cgroup/a\\040b rw,relatime - cgroup cgroup rw,memory\n", "memory", "/docker/x/y", false)
	require.True(t, ok)
	require.Equal(t, mounted{"/docker/x", "/sys/fs/cgroup/a b"}, m)
	require.Equal(t, "/y", m.inside("/docker/x/y"))
	require.Equal(t, "/", m.inside("/elsewhere"), "a group that is named from outside")
	twice := "36 35 0:26 /other /a rw - cgroup2 cgroup2 rw\n37 35 0:26 /docker /b rw - cgroup2 cgroup2 rw\n"
	m, _ = parseMount(twice, "memory", "/docker/x", true)
	require.Equal(t, "/b", m.point, "the mount in which the group is seen")
	m, _ = parseMount(twice, "memory", "/elsewhere", true)
	require.Equal(t, "/a", m.point)
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{`/a\040b\011`: "/a b\t", `\134040`: `\040`, `\377`: "\xff", `\400 \08 \04`: `\400 \08 \04`} {
		require.Equal(t, want, unescape(text))
	}
}

func FuzzGroups(f *testing.F) {
	f.Add("4:memory:/a\n0::/b\n", "36 35 0:26 /r /sys/fs/cgroup/a\\040b rw - cgroup cgroup rw,memory\n", "memory")
	f.Add("7:pids:/x\n4:cpu,memory:/docker/a1\n0::/y\n", v1Mounts+v2Mounts, "memory")
	f.Add("0::/../..\n", "29 23 0:26 /\\1345 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "pids")
	f.Fuzz(func(t *testing.T, groups, mounts, controller string) {
		name, v2, ok := parseGroup(groups, controller)
		if ok && !strings.HasPrefix(name, "/") {
			t.Fatalf("the group %q", name)
		}
		m, _ := parseMount(mounts, controller, name, v2)
		if in := m.inside(name); !path.IsAbs(in) || in != path.Clean(in) {
			t.Fatalf("inside is %q", in)
		}
	})
}
