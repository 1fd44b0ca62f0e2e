package host

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

const childEnv = "SELFHEAL_HOST_CHILD"

// TestMain plays the part that the environment asks for, in a child of a test, else
// runs the tests and fails the run when they leave goroutines behind.
func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		os.Exit(child(role))
	}
	code := m.Run()
	left := leaked()
	for until := time.Now().Add(5 * time.Second); len(left) > 0 && time.Now().Before(until); left = leaked() {
		time.Sleep(5 * time.Millisecond)
	}
	if code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

func leaked() (stacks []string) {
	buf := make([]byte, 1<<20)
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		ours := strings.Contains(s, "selfheal-go/selfheal/") || strings.Contains(s, "os/exec.")
		if ours && !strings.Contains(s, ".TestMain(") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func policyOf(p *selfhealtest.Pager) escalate.Policy { return escalate.To(p) }

// tree is a copy of a recorded one.
type tree struct {
	t    testing.TB
	root string
}

func recorded(t testing.TB, name string) tree {
	t.Helper()
	root := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.CopyFS(root, os.DirFS(filepath.Join("testdata", name))))
	return tree{t, root}
}

func (tr tree) path(name string) string { return filepath.Join(tr.root, filepath.FromSlash(name)) }

// set rewrites a file in place, as the kernel does for who keeps it open.
func (tr tree) set(name, text string) {
	tr.t.Helper()
	require.NoError(tr.t, os.MkdirAll(filepath.Dir(tr.path(name)), 0o700))
	f, err := os.OpenFile(tr.path(name), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(tr.t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte(text), 0)
	require.NoError(tr.t, err)
	require.NoError(tr.t, f.Truncate(int64(len(text))))
}

func (tr tree) remove(name string) {
	tr.t.Helper()
	require.NoError(tr.t, os.RemoveAll(tr.path(name)))
}

const (
	v2Group    = "sys/fs/cgroup/system.slice/orders.service/"
	deadBeef   = "not what the kernel writes\n"
	openLimits = "Max open files            10                   1048576              files     \n"
)

// stalledFor is a pressure file.
func stalledFor(some, full time.Duration) string {
	return fmt.Sprintf("some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=%d\n", some.Microseconds(), full.Microseconds())
}

func events(high, kills int) string {
	return fmt.Sprintf("low 0\nhigh %d\nmax 0\noom %d\noom_kill %d\noom_group_kill 0\n", high, kills, kills)
}

func cpuStat(periods, throttled int) string {
	return fmt.Sprintf("usage_usec 1\nnr_periods %d\nnr_throttled %d\nthrottled_usec 0\n", periods, throttled)
}

func look(t testing.TB, d detect.Detector) []detect.Finding {
	t.Helper()
	found, err := d.Detect(context.Background())
	require.NoError(t, err)
	return found
}

func keys(found []detect.Finding) []string {
	all := []string{}
	for _, f := range found {
		all = append(all, f.Key)
	}
	slices.Sort(all)
	return all
}

func names(m selfheal.Module) []string {
	var all []string
	for _, w := range m.Watches {
		all = append(all, w.Name)
	}
	return all
}

// switches are hooks that remember.
type switches struct {
	mu   sync.Mutex
	said []string
	do   func(said string)
}

func (s *switches) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.said)
}

func (s *switches) turn(name string) func(context.Context, bool) error {
	return func(_ context.Context, on bool) error {
		s.say(name + map[bool]string{true: " on", false: " off"}[on])
		return nil
	}
}

func (s *switches) run(name string) func(context.Context) error {
	return func(context.Context) error { s.say(name); return nil }
}

func (s *switches) say(what string) {
	s.mu.Lock()
	s.said = append(s.said, what)
	s.mu.Unlock()
	if s.do != nil {
		s.do(what)
	}
}

// ages are detectors that compare what they read with what they read before: time
// passes for them when a test says so, however slow the machine is.
func (m *memoryPressure) age(by time.Duration) { agedBy(&m.mu, &m.origin, by) }
func (s *stalls) age(by time.Duration)         { agedBy(&s.mu, &s.origin, by) }
func (t *throttling) age(by time.Duration)     { agedBy(&t.mu, &t.origin, by) }
func (m *oom) age(by time.Duration)            { agedBy(&m.mu, &m.shown, by) }

func agedBy(mu *sync.Mutex, began *time.Time, by time.Duration) {
	mu.Lock()
	defer mu.Unlock()
	*began = began.Add(-by)
}
