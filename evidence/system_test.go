package evidence

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const mountsV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"

func readerOf(fsys fs.FS) reader {
	return func(name string) (string, error) {
		text, err := fs.ReadFile(fsys, name)
		return string(text), err
	}
}

func TestTheGroupOfThisProcessIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		group, mounts string
		want          []groupDir
	}{
		"v2":           {"0::/system.slice/orders.service\n", mountsV2, []groupDir{{"", "sys/fs/cgroup/system.slice/orders.service"}}},
		"v2 container": {"0::/\n", "30 23 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw\n", []groupDir{{"", "sys/fs/cgroup"}}},
		"v2 sibling":   {"0::/docker/12\n", "30 23 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw\n", []groupDir{{"", "sys/fs/cgroup"}}},
		"v2 namespace": {"0::/../other\n", mountsV2, []groupDir{{"", "sys/fs/cgroup/other"}}},
		"v1": {
			"9:memory:/k/1\n4:cpu,cpuacct:/k/1\n3:pids:/\n1:name=systemd:/x\n",
			"31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 30 0:28 /k /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
			[]groupDir{{"memory", "sys/fs/cgroup/memory/k/1"}, {"cpu", "sys/fs/cgroup/cpu,cpuacct/1"}},
		},
		"blank in the path": {"0::/a b\n", "30 23 0:26 / /sys/fs/c\\040g rw - cgroup2 c rw\n", []groupDir{{"", "sys/fs/c g/a b"}}},
		"hybrid":            {"9:memory:/\n0::/u\n", mountsV2 + "31 30 0:27 / /m rw - cgroup cgroup rw,memory\n", []groupDir{{"memory", "m"}, {"", "sys/fs/cgroup/u"}}},
	} {
		t.Run(name, func(t *testing.T) {
			dirs, err := groupDirs(readerOf(fstest.MapFS{"proc/self/cgroup": {Data: []byte(c.group)}, "proc/self/mountinfo": {Data: []byte(c.mounts)}}))
			require.NoError(t, err)
			require.Equal(t, c.want, dirs)
		})
	}
}

func FuzzGroupDirs(f *testing.F) {
	f.Add("0::/a\n", mountsV2)
	f.Add("9:memory:/k/1\n4:cpu,cpuacct:/../..\n", "31 30 0:27 /../x /sys\\057..\\057.. rw - cgroup cgroup rw,memory\n")
	f.Fuzz(func(t *testing.T, groups, mounts string) {
		dirs, err := groupDirs(func(name string) (string, error) {
			if strings.HasSuffix(name, "cgroup") {
				return groups, nil
			}
			return mounts, nil
		})
		if (err == nil) != (len(dirs) > 0) {
			t.Fatal(dirs, err)
		}
		for _, d := range dirs {
			if strings.HasPrefix(d.dir, "/") || d.dir == ".." || strings.HasPrefix(d.dir, "../") || strings.Contains(d.dir, "/../") {
				t.Fatalf("%q", d.dir)
			}
		}
	})
}

func TestSystemSaysWhatIsMissing(t *testing.T) {
	var b bytes.Buffer
	fsys := fstest.MapFS{
		"proc/self/cgroup": {Data: []byte("0::/o\n")}, "proc/self/mountinfo": {Data: []byte(mountsV2)},
		"proc/pressure/memory": {Data: []byte("some avg10=1.00\n")}, "sys/fs/cgroup/o/memory.max": {Data: []byte("max\n")},
	}
	require.NoError(t, systemText(context.Background(), readerOf(fsys), &b))
	require.Contains(t, b.String(), "# /proc/pressure/memory\nsome avg10=1.00\n")
	require.Contains(t, b.String(), "# /sys/fs/cgroup/o/memory.max\nmax\n")
	require.Contains(t, b.String(), "# left out: open proc/pressure/cpu")
	err := systemText(context.Background(), readerOf(fstest.MapFS{}), &b)
	require.ErrorIs(t, err, ErrAbsent)
}

func TestSystemOfARoot(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)))
	}
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("canary"), 0o600))
	write("proc/pressure/memory", "some avg10=1.00\n")
	write("proc/meminfo", strings.Repeat("x", 10*mostSystem))
	require.NoError(t, errors.Join(os.Mkdir(filepath.Join(root, "proc", "loadavg"), 0o700), os.Symlink(outside, filepath.Join(root, "proc", "pressure", "io"))))
	var b bytes.Buffer
	err := System(root).Write(context.Background(), patient(), &b)
	if runtime.GOOS != "linux" {
		require.ErrorIs(t, err, ErrAbsent)
		return
	}
	require.NoError(t, err)
	require.Contains(t, b.String(), "# /proc/pressure/memory\nsome avg10=1.00\n")
	require.NotContains(t, b.String(), "canary", "a link leads out")
	require.Less(t, b.Len(), 2*mostSystem)
	require.Contains(t, b.String(), "/proc/loadavg: it is no file")
	require.ErrorIs(t, System(filepath.Join(root, "none")).Write(context.Background(), patient(), &b), ErrAbsent)

	b.Reset()
	require.NoError(t, System("").Write(context.Background(), patient(), &b))
	require.Contains(t, b.String(), "# /proc/self/status\n")
}
