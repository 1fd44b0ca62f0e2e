//go:build unix

package selfheal_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/remediate"
)

// TestMain runs the program that is killed instead of the tests, where a test
// asks for it.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SELFHEAL_TEST_VICTIM"); dir != "" {
		if err := victim(dir, os.Getenv("SELFHEAL_TEST_PAGER")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim is a service whose world lies in files: whoever kills it can read what
// it did. Its faults come and go by "sick"; each call of an action is a line in
// "world", written with one append.
func victim(dir, pager string) error {
	j, err := selfheal.OpenJournal(filepath.Join(dir, "journal"))
	if err != nil {
		return err
	}
	world, err := os.OpenFile(filepath.Join(dir, "world"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	act := func(what string, heals bool) remediate.Action {
		return func(ctx context.Context, req remediate.Request) error {
			if what == "run" {
				if err := req.Save([]byte(req.Key())); err != nil {
					return err
				}
			}
			if _, err := fmt.Fprintf(world, "%s %s %s\n", what, req.Key(), req.Memo); err != nil {
				return err
			}
			select {
			case <-time.After(time.Duration(rand.IntN(10)) * time.Millisecond):
			case <-ctx.Done():
			}
			if heals {
				_ = os.Remove(filepath.Join(dir, "sick"))
			}
			return nil
		}
	}
	page := escalate.Named("pager", escalate.NotifierFunc(func(ctx context.Context, n escalate.Notification) error {
		b, err := json.Marshal(n)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, "POST", pager, bytes.NewReader(b))
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			return fmt.Errorf("pager: %s", resp.Status)
		}
		return nil
	}))
	s := selfheal.New(selfheal.Options{Journal: j, Every: 5 * time.Millisecond, Escalate: escalate.To(page), Logger: quiet, MaxConcurrent: -1})
	s.NoSafeMode()
	limits := remediate.Limits{Cooldown: time.Millisecond, Breaker: remediate.Breaker{Failures: -1}, Heals: remediate.Heals{N: -1}}
	is := func(file string) detect.Detector {
		return detect.Func(func(context.Context) ([]detect.Finding, error) {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				return nil, nil
			}
			return []detect.Finding{{Summary: file}}, nil
		})
	}
	s.Watch(
		selfheal.Watch{Name: "acts", Detector: is("sick"), For: time.Millisecond, KeepFor: 10 * time.Millisecond, Playbook: remediate.Playbook{
			Limits: limits, Steps: []remediate.Step{{
				Name: "shed", Scope: remediate.Host, Settle: 5 * time.Millisecond, Run: act("run", true), Undo: act("undo", false),
			}},
		}},
		selfheal.Watch{Name: "pages", Detector: is("down"), For: time.Millisecond, KeepFor: 10 * time.Millisecond},
	)
	fmt.Println("up")
	return s.Run(context.Background())
}

// pager is what people have got, seen from outside.
type pager struct {
	mu       sync.Mutex
	triggers map[string]string // by dedup key: its id
	resolves map[string]string
	wrong    []string
	flaky    bool
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	var n escalate.Notification
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := json.Unmarshal(b, &n); err != nil {
		p.wrong = append(p.wrong, err.Error())
		return
	}
	if p.flaky && rand.IntN(4) == 0 {
		w.WriteHeader(503)
		return
	}
	into := p.triggers
	if n.Kind == escalate.Resolve {
		into = p.resolves
		if p.triggers[n.DedupKey] == "" && !n.BeganAndEnded {
			p.wrong = append(p.wrong, "a resolve without a trigger: "+n.DedupKey)
		}
	}
	if id := into[n.DedupKey]; id != "" && id != n.ID && n.Repeat == 0 && n.Kind != escalate.Update {
		p.wrong = append(p.wrong, fmt.Sprintf("%v of %s came under two ids: %s and %s", n.Kind, n.DedupKey, id, n.ID))
	}
	into[n.DedupKey] = n.ID
}

// A program is killed again and again at any moment. Nothing that is owed is
// lost, no bound is broken, and nothing runs twice but what was in flight, under
// its own key.
func TestKilledAtRandom(t *testing.T) {
	rounds := 25
	if os.Getenv("SELFHEAL_LONG") != "" {
		rounds = 200
	}
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	p := &pager{triggers: map[string]string{}, resolves: map[string]string{}, flaky: true}
	server := httptest.NewServer(p)
	defer server.Close()
	touch := func(file string) { require.NoError(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600)) }
	down := 0
	start := func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "SELFHEAL_TEST_VICTIM="+dir, "SELFHEAL_TEST_PAGER="+server.URL)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err, "it did not come up")
		return cmd
	}
	for range rounds {
		cmd := start()
		for end := time.Now().Add(time.Duration(rand.IntN(120)) * time.Millisecond); time.Now().Before(end); {
			if rand.IntN(3) > 0 {
				touch("sick")
			} else {
				_ = os.Remove(filepath.Join(dir, "sick"))
			}
			if rand.IntN(2) == 0 {
				touch("down")
				down++
			} else {
				_ = os.Remove(filepath.Join(dir, "down"))
			}
			time.Sleep(time.Duration(1+rand.IntN(30)) * time.Millisecond)
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}

	// Everything is well again, and one life may finish.
	_ = os.Remove(filepath.Join(dir, "sick"))
	_ = os.Remove(filepath.Join(dir, "down"))
	p.mu.Lock()
	p.flaky = false
	p.mu.Unlock()
	cmd := start()
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		left := owed(t, dir, p)
		if left == "" {
			break
		}
		if time.Now().After(end) {
			told(t, dir, left)
			t.Fatalf("still owed: %s", left)
		}
	}

	runs, ran := map[string]int{}, 0
	for _, line := range lines(t, dir) {
		if f := strings.Fields(line); f[0] == "run" {
			runs[f[1]]++
			ran++
		}
	}
	for key, n := range runs {
		require.Equal(t, 1, n, "%s ran twice: an attempt that was in flight is spent", key)
	}
	require.LessOrEqual(t, len(runs), 30, "the budget of an hour")
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(t, p.wrong)
	require.NotEmpty(t, p.triggers)
	t.Logf("%d kills: %d attempts, %d incidents paged, %d faults set", rounds, len(runs), len(p.triggers), down)
}

// A program that is stopped for longer than every time-out of its own, and goes
// on, has lost nothing and doubled nothing: late readings are no reason to act.
func TestStoppedForLongerThanEveryTimeout(t *testing.T) {
	if os.Getenv("SELFHEAL_LONG") == "" {
		t.Skip("it takes a minute, in which the supervisor calms down again: set SELFHEAL_LONG=1")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	p := &pager{triggers: map[string]string{}, resolves: map[string]string{}}
	server := httptest.NewServer(p)
	defer server.Close()
	touch := func(file string) { require.NoError(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600)) }
	touch("down")
	touch("sick")
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "SELFHEAL_TEST_VICTIM="+dir, "SELFHEAL_TEST_PAGER="+server.URL)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "world"))
		return len(b) > 0
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(12 * time.Second) // the time-out of a look and of a notice is 10 s
	touch("sick")
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	time.Sleep(2 * time.Second)
	runs := strings.Count(strings.Join(lines(t, dir), "\n")+"\n", "run ")
	require.LessOrEqual(t, runs, 1, "it is the sick one: nothing is judged by what it saw while it was late")
	_ = os.Remove(filepath.Join(dir, "sick"))
	_ = os.Remove(filepath.Join(dir, "down"))
	for end := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left := owed(t, dir, p)
		if left == "" {
			break
		}
		require.True(t, time.Now().Before(end), "still owed: %s", left)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(t, p.wrong)
}

func lines(t *testing.T, dir string) []string {
	b, err := os.ReadFile(filepath.Join(dir, "world"))
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// owed is what the world still waits for.
func owed(t *testing.T, dir string, p *pager) string {
	undone := map[string]bool{}
	var runs []string
	for _, line := range lines(t, dir) {
		f := strings.Fields(line)
		switch f[0] {
		case "run":
			runs = append(runs, f[1])
		case "undo":
			undone[strings.TrimSuffix(f[1], "/undo")+"/run"] = true
			if len(f) > 2 && f[2] != strings.TrimSuffix(f[1], "/undo")+"/run" {
				t.Errorf("undo %s got the memo %s", f[1], f[2])
			}
		}
	}
	for _, key := range runs {
		if !undone[key] {
			return "the undo of " + key
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for key := range p.triggers {
		if p.resolves[key] == "" {
			return "the resolve of " + key
		}
	}
	return ""
}

// told prints what the journal says of the last word of left.
func told(t *testing.T, dir, left string) {
	r, err := journal.NewReader(filepath.Join(dir, "journal"))
	require.NoError(t, err)
	key := left[strings.LastIndex(left, " ")+1:]
	for rec, err := range r.All() {
		if err == nil && strings.Contains(string(rec.Payload), key) {
			t.Logf("%d %v %d %s", rec.Seq, rec.Stamp.Wall.Format("05.000"), rec.Type, rec.Payload)
		}
	}
}
