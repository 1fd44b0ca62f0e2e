//go:build unix

package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/process"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func sick(text string) escalate.Notification {
	return escalate.Notification{
		ID: "n1", DedupKey: "orders-7", Kind: escalate.Ask, Repeat: 2, At: time.Now(),
		Links: []escalate.Link{{Text: "approve", Href: "https://console.example/?sig=canary"}},
		Incident: escalate.Incident{
			ID: "orders-7", Service: "orders", Watch: "orders/queue-depth", State: escalate.Asking, Reason: escalate.Exhausted, Proposal: "p1", Runbook: "https://runbooks.example/",
			Finding: detect.Finding{Key: "eu", Severity: detect.Critical, Summary: text},
		},
	}
}

// told runs the program "tell" and returns what it got.
func told(t *testing.T, change func(*Config), m escalate.Notification) seen {
	t.Helper()
	file := filepath.Join(t.TempDir(), "seen")
	c := program(t, "tell", file, "-n", "$HOME; `id`")
	if change != nil {
		change(&c)
	}
	require.NoError(t, notifier(t, c).Notify(t.Context(), m))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var s seen
	require.NoError(t, json.Unmarshal(b, &s))
	return s
}

func TestProgramGetsDataAndNothingElse(t *testing.T) {
	t.Setenv("SERVICE_SECRET", "do not tell")
	t.Setenv("LISTED", "yes")
	m := sick("9000 is above 5000")
	s := told(t, func(c *Config) { c.Env, c.Dir, c.Set["TOKEN"] = []string{"LISTED", "NOT_THERE"}, "/", "secret" }, m)
	require.Equal(t, []string{"-n", "$HOME; `id`"}, s.Args, "no shell")
	require.Equal(t, "/", s.Dir)
	want, err := json.Marshal(m)
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", s.Stdin)
	s.Env = slices.DeleteFunc(s.Env, func(v string) bool { return strings.HasPrefix(v, "GO") || strings.HasPrefix(v, helperVar) })
	require.ElementsMatch(t, []string{
		"SELFHEAL_NOTIFICATION=n1", "SELFHEAL_DEDUP_KEY=orders-7", "SELFHEAL_KIND=ask", "SELFHEAL_REPEAT=2", "SELFHEAL_BEGAN_AND_ENDED=false",
		"SELFHEAL_TITLE=" + m.Title(), "SELFHEAL_TEXT=" + m.Text(), "SELFHEAL_INCIDENT=orders-7", "SELFHEAL_SERVICE=orders", "SELFHEAL_WATCH=orders/queue-depth",
		"SELFHEAL_KEY=eu", "SELFHEAL_SEVERITY=critical", "SELFHEAL_SUMMARY=9000 is above 5000", "SELFHEAL_STATE=asking", "SELFHEAL_REASON=exhausted", "SELFHEAL_PROPOSAL=p1", "SELFHEAL_RUNBOOK=https://runbooks.example/",
		"LISTED=yes", "TOKEN=secret",
	}, s.Env)
	require.NotContains(t, strings.Join(s.Env, "\n"), "canary")
}

func TestHostileNotification(t *testing.T) {
	evil := "$(touch /tmp/x); `id` \x00LD_PRELOAD=/evil.so\n\"' -rf / \xff\xfe() { :;}; " + strings.Repeat("ß", 100_000)
	m := sick(evil)
	m.ID, m.DedupKey, m.Incident.Watch, m.Incident.Finding.Key, m.Incident.Runbook = evil, evil, evil, evil, evil
	s := told(t, nil, m)
	require.Len(t, s.Env, 20)
	for _, v := range s.Env {
		name, value, _ := strings.Cut(v, "=")
		require.Regexp(t, "^(SELFHEAL_[A-Z_]+|GORACE|GOCOVERDIR|"+helperVar+")$", name)
		require.LessOrEqual(t, len(value), process.MaxValue)
	}
	var back escalate.Notification
	require.NoError(t, json.Unmarshal([]byte(s.Stdin), &back))
	require.Len(t, back.Incident.Finding.Summary, len(strings.ToValidUTF8(evil, "\uFFFD\uFFFD")), "the JSON is complete")

	m = sick("far away")
	m.At = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)
	m.Incident.Attempts = []remediate.Attempt{{Step: "shed", Started: m.At}}
	back = escalate.Notification{}
	require.NoError(t, json.Unmarshal([]byte(told(t, nil, m).Stdin), &back))
	require.Equal(t, "far away", back.Incident.Finding.Summary)
	require.True(t, back.At.IsZero())
	require.Equal(t, 12345, m.Incident.Attempts[0].Started.Year(), "the caller's notification is the caller's")
}

func FuzzEnvironment(f *testing.F) {
	f.Add("orders-7", "9000 is above 5000", "eu", 3)
	f.Add("\x00", "a\x00=b\xff", "\nPATH=/evil", -1)
	f.Add("=", strings.Repeat("é", 9000), "() { :;}; id", 0)
	c := Config{Path: "/bin/true", Set: map[string]escalate.Secret{"A": "1"}}.effective()
	names := func(env []string) (names []string) {
		for _, v := range env {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
		return names
	}
	want := names(environment(c, escalate.Notification{}))
	f.Fuzz(func(t *testing.T, id, summary, key string, repeat int) {
		m := sick(summary)
		m.ID, m.Note, m.Repeat, m.Incident.Finding.Key = id, summary, repeat, key
		env := environment(c, m)
		require.Equal(t, want, names(env), "the names do not depend on the notification")
		for _, v := range env {
			require.NotContains(t, v, "\x00")
			require.Equal(t, strings.ToValidUTF8(v, "?"), v)
			require.LessOrEqual(t, len(v), process.MaxValue+40)
		}
	})
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for code, permanent := range map[int]bool{1: false, 2: false, 64: true, 65: true, 66: false, 67: true, 68: true, 69: false, 75: false, 77: true, 78: true, 126: false, 127: false, 255: false} {
		err := notifier(t, program(t, "exit", strconv.Itoa(code), "last", "words")).Notify(t.Context(), sick("x"))
		e := failure(t, err)
		require.Equal(t, permanent, escalate.IsPermanent(err), "%v", err)
		require.Equal(t, code, e.ExitCode)
		require.Equal(t, "first line\nlast words\n", e.Output)
		require.Contains(t, e.Error(), `last output "last words"`)
		require.Equal(t, code == 75, strings.Contains(e.Error(), "it may pass"))
	}
	require.NoError(t, notifier(t, program(t, "exit", "0")).Notify(t.Context(), sick("x")))

	err := notifier(t, program(t, "die")).Notify(t.Context(), sick("x"))
	require.Equal(t, syscall.SIGKILL, failure(t, err).Signal)
	require.False(t, escalate.IsPermanent(err))
	require.ErrorContains(t, err, "ended by signal killed")
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(data, []byte("no program"), 0o600))
	for path, want := range map[string]error{"/no/such/program": os.ErrNotExist, data: os.ErrPermission, data + "/x": syscall.ENOTDIR} {
		err := notifier(t, Config{Path: path}).Notify(t.Context(), sick("x"))
		require.ErrorIs(t, err, want)
		require.True(t, escalate.IsPermanent(err), "the next target is told")
		require.ErrorContains(t, err, "check that the file exists")
		require.False(t, failure(t, err).ran)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the supervisor stops"))
	err := notifier(t, program(t, "exit", "0")).Notify(ctx, sick("x"))
	require.ErrorContains(t, err, "not started: the supervisor stops")
	require.False(t, escalate.IsPermanent(err))
	for _, n := range []*Notifier{nil, {}} {
		require.True(t, escalate.IsPermanent(n.Notify(t.Context(), sick("x"))))
	}
}

func TestSecretsAreNotRepeated(t *testing.T) {
	t.Parallel()
	c := program(t, "exit", "1", "denied for token-canary and token-canary-longer, abc")
	c.Set["TOKEN"], c.Set["LONGER"], c.Set["SHORT"] = "token-canary", "token-canary-longer", "abc"
	err := notifier(t, c).Notify(t.Context(), sick("x"))
	require.NotContains(t, fmt.Sprintf("%v %+v %s", err, err, failure(t, err).Output), "canary")
	require.ErrorContains(t, err, "denied for *** and ***, abc")
	c.Args = nil
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", c, c, c), "canary")
	n := notifier(t, c)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %v", n, n, n, *n), "canary")
	require.Equal(t, "command "+c.Path, n.String())
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	c := program(t, "flood")
	c.MaxOutput = 100
	e := failure(t, notifier(t, c).Notify(t.Context(), sick("x")))
	require.True(t, strings.HasPrefix(e.Output, "line 0000000\n"))
	require.True(t, strings.HasSuffix(e.Output, "line 0099999\n"))
	require.EqualValues(t, 13*100_000-100, e.Missing)
	require.Contains(t, e.Output, "[… 1299900 bytes left out …]")
	require.Less(t, len(e.Output), 150)
}

// ending is a context that ends once a file is there.
func ending(t *testing.T, file string) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		for ctx.Err() == nil {
			if _, err := os.Stat(file); err == nil {
				cancel(context.DeadlineExceeded)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(nil); <-watcher })
	return ctx
}

func TestTheEndOfItsTimeEndsTheProgram(t *testing.T) {
	for _, c := range []struct {
		name, program string
		grace         time.Duration
		signal        os.Signal
		output        string
	}{
		{"nap", "nap", 5 * time.Second, syscall.SIGTERM, "asleep\n"},
		{"stubborn", "stubborn", 200 * time.Millisecond, syscall.SIGKILL, "asleep\n"},
		{"polite", "polite", 5 * time.Second, nil, "asleep\nbye\n"}, // and a failure all the same
		{"without grace", "polite", -1, syscall.SIGKILL, "asleep\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "ready")
			o := program(t, c.program, file)
			o.Grace, o.WaitDelay = c.grace, 2*nap // os/exec would kill it after that, too
			err := notifier(t, o).Notify(ending(t, file), sick("x"))
			e := failure(t, err)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.False(t, escalate.IsPermanent(err))
			require.Equal(t, c.signal, e.Signal)
			require.Equal(t, c.output, e.Output)
		})
	}
	o := program(t, "nap")
	o.Timeout, o.Grace = 100*time.Millisecond, -1
	err := notifier(t, o).Notify(t.Context(), sick("x"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "it took more than 100ms: raise Timeout")
}

// However the program ends, what it left in its group ends with it.
func TestTheGroupEndsWithTheProgram(t *testing.T) {
	for name, then := range map[string][]string{"success": {"exit", "0"}, "failure": {"exit", "3"}, "crash": {"die"}, "timeout": {"nap", "READY"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pid")
			if len(then) > 1 && then[1] == "READY" {
				then = []string{then[0], file + ".nap"}
			}
			o := program(t, "parent", append([]string{"group", file}, then...)...)
			o.Grace, o.WaitDelay = 200*time.Millisecond, 10*time.Second
			ctx := t.Context()
			if name == "timeout" {
				ctx = ending(t, file+".nap")
			}
			err := notifier(t, o).Notify(ctx, sick("x"))
			require.Equal(t, name == "success", err == nil, "%v", err)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			pid, err := strconv.Atoi(string(text))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 2*time.Millisecond, "process %d is still there", pid)
		})
	}
}

// A process that left the group and holds the output is waited for a little. The
// program said that people were told, and that holds.
func TestAHeldOutputIsGivenUp(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	o := program(t, "parent", "session", file, "exit", "0")
	o.WaitDelay = 100 * time.Millisecond
	require.NoError(t, notifier(t, o).Notify(t.Context(), sick("x")))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(string(text))
	require.NoError(t, err)
	require.True(t, alive(pid))
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 2*time.Millisecond)
}

func TestNothingPilesUp(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc, as Linux has it")
	}
	descriptors := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(fds)
	}
	good, bad, missing := notifier(t, program(t, "exit", "0")), notifier(t, program(t, "exit", "1")), notifier(t, Config{Path: "/no/such/program"})
	run := func() {
		require.NoError(t, good.Notify(t.Context(), sick("x")))
		require.Error(t, bad.Notify(t.Context(), sick("x")))
		require.Error(t, missing.Notify(t.Context(), sick("x")))
	}
	run()
	before := descriptors()
	for range 10 {
		run()
	}
	require.LessOrEqual(t, descriptors(), before)
}

func TestConformance(t *testing.T) {
	selfhealtest.TestNotifier(t, func(t *testing.T) selfhealtest.NotifierFixture {
		dir := filepath.Join(t.TempDir(), "mails")
		c := program(t, "mail", dir)
		c.Set["TOKEN"] = "hunter2-canary/+"
		mark := func(what string) func() {
			return func() { require.NoError(t, os.WriteFile(dir+"."+what, nil, 0o600)) }
		}
		return selfhealtest.NotifierFixture{
			Notifier: notifier(t, c),
			Messages: func() int { entries, _ := os.ReadDir(dir); return len(entries) },
			Fail:     mark("fail"),
			Hang:     mark("hang"),
			Secrets:  []string{"hunter2-canary/+"},
			Patience: 10 * time.Second,
		}
	})
}

func BenchmarkNotify(b *testing.B) {
	n := notifier(b, Config{Path: "/bin/true"})
	m := sick("9000 is above 5000")
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Notify(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
}
