package goruntime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

// tree writes a tree of files and returns its root.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		write(t, root, name, text)
	}
	return root
}

func write(t testing.TB, root, name, text string) {
	t.Helper()
	file := filepath.Join(root, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

const (
	v2Mounts = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	v1Mounts = "36 25 0:33 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n40 25 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)

// v2 is the tree of a pod on a version 2 host.
func v2(limit, current string) map[string]string {
	return map[string]string{
		"proc/self/cgroup":                        "0::/pod/app\n",
		"proc/self/mountinfo":                     v2Mounts,
		"sys/fs/cgroup/pod/memory.max":            "max\n",
		"sys/fs/cgroup/pod/memory.current":        "900000000\n",
		"sys/fs/cgroup/pod/memory.stat":           "anon 5\ninactive_file 0\n",
		"sys/fs/cgroup/pod/app/memory.max":        limit + "\n",
		"sys/fs/cgroup/pod/app/memory.current":    current + "\n",
		"sys/fs/cgroup/pod/app/memory.stat":       "anon 5\ninactive_file 1000000\nactive_file 7\n",
		"sys/fs/cgroup/pod/app/pids.max":          "100\n",
		"sys/fs/cgroup/pod/app/pids.current":      "12\n",
		"sys/fs/cgroup/pod/app/not-ours/pids.max": "1\n",
	}
}

func read(t testing.TB, root, controller string) (grip, uint64, bool, error) {
	t.Helper()
	b := &bounds{root: root, controller: controller}
	t.Cleanup(b.close)
	return b.tightest(0)
}

func TestLimitsOfControlGroups(t *testing.T) {
	for name, c := range map[string]struct {
		files       map[string]string
		limit, used uint64
		ok          bool
	}{
		"v2": {v2("500000000", "301000000"), 500000000, 300000000, true},
		"v2, only a parent limits": {func() map[string]string {
			f := v2("max", "301000000")
			f["sys/fs/cgroup/pod/memory.max"] = "1000000000"
			return f
		}(), 1000000000, 900000000, true},
		"v2, the parent is nearer": {func() map[string]string {
			f := v2("500000000", "301000000")
			f["sys/fs/cgroup/pod/memory.max"] = "1000000000"
			return f
		}(), 1000000000, 900000000, true},
		"v2, no limit": {v2("max", "301000000"), 0, 0, false},
		"v1": {map[string]string{
			"proc/self/cgroup":    "7:pids:/x\n4:memory:/docker/a1\n0::/y\n",
			"proc/self/mountinfo": v1Mounts,
			"sys/fs/cgroup/memory/docker/a1/memory.limit_in_bytes": "200000000\n",
			"sys/fs/cgroup/memory/docker/a1/memory.usage_in_bytes": "150000000\n",
			"sys/fs/cgroup/memory/docker/a1/memory.stat":           "inactive_file 1\ntotal_inactive_file 50000000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":           "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes":           "990000000\n",
			"sys/fs/cgroup/memory/memory.stat":                     "total_inactive_file 0\n",
		}, 200000000, 100000000, true},
		"v1, seen from a container": {map[string]string{
			"proc/self/cgroup":                            "4:memory:/docker/a1\n",
			"proc/self/mountinfo":                         "36 25 0:33 /docker/a1 /sys/fs/cgroup/mem\\040ory ro - cgroup cgroup rw,cpuacct,memory\n",
			"sys/fs/cgroup/mem ory/memory.limit_in_bytes": "100\n",
			"sys/fs/cgroup/mem ory/memory.usage_in_bytes": "60\n",
			"sys/fs/cgroup/mem ory/memory.stat":           "total_inactive_file 10\n",
		}, 100, 50, true},
		"hybrid, memory is v1": {map[string]string{
			"proc/self/cgroup":                           "4:memory:/\n0::/a\n",
			"proc/self/mountinfo":                        v1Mounts + "41 25 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "100\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "60\n",
			"sys/fs/cgroup/memory/memory.stat":           "\n",
		}, 100, 60, true},
		"v2, a namespace above the mount": {map[string]string{
			"proc/self/cgroup":             "0::/../other\n",
			"proc/self/mountinfo":          "29 23 0:26 /me /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup/memory.max":     "100\n",
			"sys/fs/cgroup/memory.current": "70\n",
			"sys/fs/cgroup/memory.stat":    "inactive_file 0\n",
		}, 100, 70, true},
		"none":           {map[string]string{}, 0, 0, false},
		"no mounts":      {map[string]string{"proc/self/cgroup": "0::/\n"}, 0, 0, false},
		"not mounted":    {map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": "1 2 3:4 / / rw - ext4 /dev/sda rw\n"}, 0, 0, false},
		"the root of v2": {map[string]string{"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": v2Mounts, "sys/fs/cgroup/cpu.stat": ""}, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" {
				t.Skip("the names of the tree are Linux's")
			}
			g, _, ok, err := read(t, tree(t, c.files), "memory")
			require.NoError(t, err)
			require.Equal(t, c.ok, ok)
			assert.Equal(t, c.limit, g.limit)
			assert.Equal(t, c.used, g.used)
		})
	}
	g, headroom, ok, err := read(t, tree(t, v2("1", "1")), "pids")
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, []uint64{100, 12, 88}, []uint64{g.limit, g.used, headroom})
}

// The words are the same at every look, so that being blind is said once.
func TestWhatCannotBeReadIsBlindInStableWords(t *testing.T) {
	files := v2("lots", "301000000")
	b := &bounds{root: tree(t, files), controller: "memory"}
	defer b.close()
	_, _, _, first := b.tightest(0)
	require.ErrorContains(t, first, `"lots" is no number`)
	_, _, _, again := b.tightest(time.Second)
	require.EqualError(t, again, first.Error())
	write(t, b.root, "sys/fs/cgroup/pod/app/memory.max", "500000000\n")
	_, _, ok, err := b.tightest(2 * time.Second)
	require.NoError(t, err)
	require.True(t, ok)
}

func TestTheMemoryOfThisMachineIsRead(t *testing.T) {
	m := newMemory("/")
	defer m.groups.close()
	f, err := m.read(0)
	require.NoError(t, err)
	assert.Greater(t, f.used, float64(1<<20))
	assert.Greater(t, f.need, float64(1<<10))
	assert.LessOrEqual(t, f.need, f.used+float64(64<<20))
}

// Against GOMEMLIMIT garbage does not count, against the group everything does.
func TestTheNearerLimitCounts(t *testing.T) {
	f := fullness{used: 99, need: 40, limit: 100}
	share, what, _, _ := f.share()
	assert.Equal(t, "GOMEMLIMIT", what)
	assert.InDelta(t, 0.4, share, 1e-9)
	f.grouped, f.group = true, grip{limit: 200, used: 150}
	share, what, value, limit := f.share()
	assert.Equal(t, "the control group", what)
	assert.Equal(t, []float64{0.75, 150, 200}, []float64{share, value, limit})
	share, what, _, _ = new(fullness).share()
	assert.Equal(t, "", what)
	assert.Zero(t, share)
}

func TestMemoryIsJudgedByTwoLevelsAndAClearOne(t *testing.T) {
	root := tree(t, v2("10000000000", "5001000000"))
	d := Memory(Options{Root: root, EarlyFor: -1}).Detector
	look := func(current string) []detect.Finding {
		t.Helper()
		write(t, root, "sys/fs/cgroup/pod/app/memory.current", current)
		found, err := d.Detect(context.Background())
		require.NoError(t, err)
		return found
	}
	require.Empty(t, look("5001000000"))
	require.Empty(t, look("8400000000"))
	early := look("8801000000")
	require.Len(t, early, 1)
	require.Equal(t, Early, early[0].Key)
	require.Equal(t, "memory is at 88 % of the control group, 8.196 GiB of 9.313 GiB (limit 85 %)", early[0].Summary)
	acute := look("9701000000")
	require.Len(t, acute, 2)
	require.Equal(t, detect.Finding{Key: "", Severity: detect.Critical, Value: 0.97, Limit: 0.95, Summary: acute[0].Summary, Evidence: acute[0].Evidence}, acute[0])
	held := look("8201000000")
	require.Len(t, held, 2, "between the clear level and the first both stay")
	require.Contains(t, held[0].Summary, "not yet below 0.8")
	require.Empty(t, look("7901000000"))
	require.Empty(t, look("8201000000"), "and do not come back before they are exceeded again")
}

func TestWithoutAnyLimitThereIsNothingToJudge(t *testing.T) {
	found, err := Memory(Options{Root: t.TempDir()}).Detector.Detect(context.Background())
	require.NoError(t, err)
	require.Empty(t, found)
}

func ExampleModule_options() {
	m := Module(Options{RecycleCode: -1, RaiseBy: -1})
	for _, w := range m.Watches {
		fmt.Println(w.Name, len(w.Playbook.Steps))
	}
	// Output:
	// goroutine-leak 0
	// memory 2
	// gc-spiral 1
	// lock-contention 0
	// starvation 0
	// threads 0
}
