package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
)

// child plays a service in a process of its own.
func child(role string) int {
	switch role {
	case "leak", "idle":
		return descriptorChild(role)
	case "memory":
		return memoryChild()
	case "spin":
		return spinChild()
	case "stopped":
		return stoppedChild()
	case "health":
		return healthChild()
	}
	return 2
}

// as starts a child, whose standard input ends with the test: then it ends too.
func as(t *testing.T, role string, env ...string) (*exec.Cmd, *output) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+role), env...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out := &output{}
	cmd.Stderr = out
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, out
}

// output is what a child has said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// orphaned ends when the parent is gone.
func orphaned(cancel func()) {
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
}

func descriptorChild(role string) int {
	limit := syscall.Rlimit{Cur: 200, Max: 200}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	parent := os.Getenv("PARENT")
	reserve, err := NewReserve(0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	defer reserve.Close()
	tell := func(path string) error {
		t := &http.Transport{DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: t, Timeout: 5 * time.Second}).Get(parent + path)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	page := reserve.Notifier(escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
		if n.Incident.Finding.Key != "" {
			return tell("/other")
		}
		if err := tell("/page?" + strings.ReplaceAll(string(n.Incident.Reason), " ", "-")); err != nil {
			return errors.New("the pager is not reached") // it does not say that descriptors are lacking
		}
		return nil
	}))
	o := Options{Every: 50 * time.Millisecond, Descriptors: DescriptorOptions{Reserve: reserve, HostAct: -1}}
	if role == "leak" {
		o.RecycleCode = -1
	}
	w := Descriptors(o)
	w.KeepFor = 100 * time.Millisecond
	for i := range w.Playbook.Steps {
		w.Playbook.Steps[i].Settle = 300 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	orphaned(cancel)
	sup := selfheal.New(selfheal.Options{Logger: quiet(), Escalate: escalate.To(page), Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
		if s := fmt.Sprint(e); strings.Contains(s, "close-idle: healed") {
			_ = reserve.Do(func() error { return tell("/healed") })
			cancel()
		}
	})})
	sup.Watch(w)
	go func() {
		time.Sleep(300 * time.Millisecond)
		var kept []any
		for ctx.Err() == nil {
			if role == "leak" {
				f, err := os.Open(os.DevNull) // until there are no more
				if err == nil {
					kept = append(kept, f)
					continue
				}
			} else if len(kept) < 1 {
				kept = append(kept, idleConnections(parent, 140))
			}
			time.Sleep(20 * time.Millisecond)
		}
		_ = kept
	}()
	if err := sup.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	return 0
}

// idleConnections makes connections at once, and leaves them idle.
func idleConnections(parent string, n int) int {
	t := http.DefaultTransport.(*http.Transport)
	t.MaxIdleConnsPerHost, t.MaxIdleConns = n, n
	done := make(chan struct{})
	for range n {
		go func() {
			defer func() { done <- struct{}{} }()
			resp, err := http.Get(parent + "/slow")
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}()
	}
	for range n {
		<-done
	}
	return n
}

// parent is what children talk to; it hands out the paths that they ask for.
func parent(t *testing.T) (address string, asked chan string) {
	asked = make(chan string, 1000)
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(300 * time.Millisecond) // so that each needs a connection of its own
			return
		}
		select {
		case asked <- r.URL.String():
		default:
		}
	})}
	l := listen(t)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return "http://" + l.Addr().String(), asked
}

func hear(t *testing.T, asked chan string, want string, said *output) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case got := <-asked:
			if strings.HasPrefix(got, want) {
				return strings.TrimPrefix(got, want)
			}
		case <-deadline:
			t.Fatalf("the child never asked for %s: %v", want, said)
		}
	}
}

// A child runs out of descriptors under a real limit; a page goes out all the same,
// over a connection for which it gives up a part of its reserve.
func TestAPageGoesOutWithoutADescriptorLeft(t *testing.T) {
	t.Parallel()
	address, asked := parent(t)
	cmd, log := as(t, "leak", "PARENT="+address)
	require.NoError(t, cmd.Start())
	hear(t, asked, "/page?exhausted", log)
}

// A child fills its descriptors with idle connections; they are closed, and it is
// well again without a page.
func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	address, asked := parent(t)
	cmd, log := as(t, "idle", "PARENT="+address)
	require.NoError(t, cmd.Start())
	hear(t, asked, "/healed", log)
	for len(asked) > 0 {
		require.NotContains(t, <-asked, "/page")
	}
}

const roomy = "268435456\n"

// memoryChild watches a tree of a process that is near its limit.
func memoryChild() int {
	o := Options{Root: os.Getenv("TREE"), Every: 20 * time.Millisecond, OOM: OOMOptions{StateDir: os.Getenv("STATE")}}
	sup := selfheal.New(selfheal.Options{Logger: quiet(), Escalate: escalate.To(escalate.Log(quiet()))})
	sup.Watch(OOM(o))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	orphaned(cancel)
	if sup.Run(ctx) != nil {
		return 3
	}
	return 0
}

// A run that is killed near its memory limit is known to the next one; one that ends
// cleanly, or is killed while there is memory, is not accused.
func TestTheNextRunKnowsOfAKill(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, used string
		kills      int
		clean      bool
		want       string
	}{
		{"near", "1060000000\n", 0, false, "was at 90 % of its memory limit"},
		{"counted", roomy, 1, false, "counts a process killed"},
		{"clean", "1060000000\n", 1, true, ""},
		{"roomy", roomy, 0, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr, state := recorded(t, "v2"), t.TempDir()
			tr.set(v2Group+"memory.current", c.used)
			cmd, _ := as(t, "memory", "TREE="+tr.root, "STATE="+state)
			require.NoError(t, cmd.Start())
			near := c.used != roomy
			noted := func() record {
				text, err := os.ReadFile(filepath.Join(state, notesName))
				if err != nil {
					return record{}
				}
				return parseRecord(text)
			}
			require.Eventually(t, func() bool {
				r := noted()
				return r.Near == near && r.Group != "" && (!near || len(heapFiles(t, state)) > 0)
			}, 10*time.Second, time.Millisecond)
			if c.clean {
				require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
				require.NoError(t, cmd.Wait())
				require.True(t, noted().Clean)
			} else {
				require.NoError(t, cmd.Process.Kill())
				require.Error(t, cmd.Wait())
			}
			tr.set(v2Group+"memory.current", roomy)
			tr.set(v2Group+"memory.events", events(0, c.kills))
			w := OOM(Options{Root: tr.root, OOM: OOMOptions{StateDir: state}})
			d := w.Detector.(*oom)
			d.OnWake(func() {})
			found := look(t, d)
			if c.want == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Contains(t, found[0].Summary, c.want)
			if near {
				kept, err := w.Evidence[0].Gather(context.Background(), escalate.Incident{})
				require.NoError(t, err)
				require.Len(t, kept, 1, "the heap profile of the run that was killed")
				require.Positive(t, kept[0].Bytes)
			}
		})
	}
}

// lacking skips a test for want of a privilege, or fails where none may be wanting.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func heapFiles(t *testing.T, dir string) []string {
	all, err := filepath.Glob(filepath.Join(dir, heapPrefix+"*.pprof"))
	require.NoError(t, err)
	return all
}

// spinChild uses up the quota of a real control group, and says when it is found.
func spinChild() int {
	var stop atomic.Bool
	for range 2 {
		go func() {
			for !stop.Load() {
			}
		}()
	}
	defer stop.Store(true)
	for n := 0; n < 500; n++ { // until it was moved there
		if own, err := os.ReadFile("/proc/self/cgroup"); err != nil || strings.Contains(string(own), "selfheal-host-test-") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	d := CPUThrottling(Options{CPU: CPUOptions{Window: 8 * time.Second}}).Detector
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		found, err := d.Detect(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 3
		}
		for _, f := range found {
			if f.Key == "" {
				fmt.Fprintln(os.Stderr, f.Summary)
				return 0
			}
		}
	}
	return 4
}

// A child spins in a control group with a real quota.
func TestARealQuotaIsUsedUp(t *testing.T) {
	t.Parallel()
	own, err := findGroups("", "cpu")
	if err != nil || own.V2 {
		t.Skip("this host has no cpu controller of version 1 to make a group with a quota in; the recorded trees show the same")
	}
	if os.Geteuid() != 0 {
		lacking(t, "this test makes a control group: run it as root")
	}
	group, err := os.MkdirTemp(own.Dirs[0], "selfheal-host-test-")
	if err != nil {
		t.Skipf("the control groups of this host cannot be changed from here; the recorded trees show the same: %v", err)
	}
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.Remove(group) == nil }, 5*time.Second, 10*time.Millisecond)
	})
	set := func(file, text string) error { return os.WriteFile(filepath.Join(group, file), []byte(text), 0) }
	if err := errors.Join(set("cpu.cfs_period_us", "100000"), set("cpu.cfs_quota_us", "10000")); err != nil {
		t.Skipf("this kernel has no CPU quota (CONFIG_CFS_BANDWIDTH): %v", err)
	}
	cmd, log := as(t, "spin")
	require.NoError(t, cmd.Start())
	require.NoError(t, set("cgroup.procs", fmt.Sprint(cmd.Process.Pid)))
	require.NoError(t, cmd.Wait(), log)
	require.Contains(t, log.String(), "the CPU quota was used up in")
}
