package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/console"
	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/remediate"
)

const token = "s3cret-token"

// service is a real one, with a watch that asks and one that is well.
type service struct {
	*selfheal.Supervisor
	stop func()
}

func serve(t *testing.T, o selfheal.Options) service {
	t.Helper()
	o.Service = "orders"
	o.Logger = slog.New(slog.DiscardHandler)
	o.Escalate = escalate.To(escalate.Named("pager", escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil })))
	o.Console.Authorize = func(r *http.Request, _ selfheal.Control) (string, error) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			return "", errors.New("no token")
		}
		return "alice", nil
	}
	s := selfheal.New(o)
	s.Watch(selfheal.Watch{
		Name: "store", Every: 20 * time.Millisecond,
		Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			return []detect.Finding{{Key: "a", Summary: "full \x1b[31m"}}, nil
		}),
		Playbook: remediate.Ladder(remediate.Step{Name: "drop", Risk: remediate.Destructive, Lasting: true, Settle: time.Hour, Run: func(context.Context, remediate.Request) error { return nil }}),
	}, selfheal.Watch{
		Name: "well", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, nil }),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-done)
		})
	}
	t.Cleanup(stop)
	eventually(t, "the proposal", func() bool { return len(s.Status().Proposals) == 1 })
	return service{s, stop}
}

// eventually waits for something that a real process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "no "+what)
	}
}

// terminal is the world of a command.
type terminal struct {
	world
	mu  sync.Mutex
	buf bytes.Buffer
	bad bytes.Buffer
	env map[string]string
}

func (x *terminal) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.Write(p)
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

func newTerminal(url string) *terminal {
	x := &terminal{env: map[string]string{"SELFHEAL_URL": url, "SELFHEAL_TOKEN": token}}
	x.world = world{in: strings.NewReader(""), out: x, err: &x.bad, getenv: func(n string) string { return x.env[n] }}
	return x
}

// do runs a command and wants its exit code.
func do(t *testing.T, x *terminal, code int, args ...string) string {
	t.Helper()
	x.mu.Lock()
	x.buf.Reset()
	x.mu.Unlock()
	x.bad.Reset()
	got := x.run(t.Context(), args)
	require.Equal(t, code, got, "%v: %s%s", args, x.text(), x.bad.String())
	return x.text()
}

func TestTheCommandsAgainstAService(t *testing.T) {
	s := serve(t, selfheal.Options{})
	for name, start := range map[string]func(h http.Handler) string{
		"http": func(h http.Handler) string {
			srv := httptest.NewServer(http.StripPrefix("/selfheal", h))
			t.Cleanup(srv.Close)
			return srv.URL + "/selfheal"
		},
		"unix": func(h http.Handler) string {
			if runtime.GOOS == "windows" {
				return ""
			}
			dir, err := os.MkdirTemp("", "sh") // a socket's path must be short
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			l, err := net.Listen("unix", filepath.Join(dir, "s"))
			require.NoError(t, err)
			srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
			go func() { _ = srv.Serve(l) }()
			t.Cleanup(func() { _ = srv.Close() })
			return "unix://" + filepath.Join(dir, "s") + ":/selfheal"
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := start(s.Handler())
			if url == "" {
				t.Skip("unix sockets are not tried on this system")
			}
			x := newTerminal(url)
			out := do(t, x, exitDone, "status")
			require.Contains(t, out, "orders: running")
			require.Contains(t, out, "store[a]")
			require.NotContains(t, out, "\x1b", "nobody controls the terminal")
			do(t, x, exitNo, "status", "-check")
			require.True(t, json.Valid([]byte(do(t, x, exitDone, "status", "-o", "json"))))

			id := s.Status().Watches[0].Incidents[0].ID
			require.Contains(t, do(t, x, exitDone, "incidents"), "asks whether drop may run")
			require.Contains(t, do(t, x, exitDone, "incidents", id), "open")
			do(t, x, exitMissing, "incidents", "none")
			require.Contains(t, do(t, x, exitDone, "incidents", "-q", "nothing"), "none contains that")
			require.Contains(t, do(t, x, exitDone, "incidents", "-closed"), "none that is remembered")

			do(t, x, exitUsage, "halt")
			require.Contains(t, x.bad.String(), "-reason is missing: selfheal halt -reason WHY")
			do(t, x, exitDone, "halt", "-reason", "a release")
			require.Equal(t, "alice", s.Status().Halted.By)
			require.Contains(t, do(t, x, exitDone, "status"), "NOT HEALING: halted by alice")
			do(t, x, exitDone, "resume")
			do(t, x, exitDone, "silence", "well", "-for", "1h", "-reason", "noise")
			do(t, x, exitDone, "unsilence", s.Status().Silences[0].ID)
			do(t, x, exitDone, "ack", id, "-for", "1h")
			do(t, x, exitUsage, "snooze", id)
			do(t, x, exitDone, "snooze", id, "-for", "30")
			do(t, x, exitDone, "look", "well")
			require.Contains(t, do(t, x, exitDone, "plan", "store"), "would ask first: drop: destructive")
			require.Contains(t, do(t, x, exitDone, "plan", "store", "-o", "json"), `"fingerprint"`)
			do(t, x, exitMissing, "plan", "none")
			do(t, x, exitMissing, "ack", "none")

			x.env["SELFHEAL_TOKEN"] = ""
			do(t, x, exitForbidden, "halt", "-reason", "x")
			require.Contains(t, x.bad.String(), "no token was sent")
			x.env["SELFHEAL_TOKEN"] = "wrong"
			do(t, x, exitForbidden, "halt", "-reason", "x")
			require.Nil(t, s.Status().Halted)
			file := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
			do(t, x, exitDone, "halt", "-reason", "x", "-token-file", file)
			require.Equal(t, "alice", s.Status().Halted.By)
			do(t, x, exitDone, "resume", "-token-file", file)
			do(t, x, exitMissing, "resume", "-token-file", file)
			require.Equal(t, "selfheal: resume: no such halt: nothing is halted\n", x.bad.String())
		})
	}
}

func TestApproveShowsThePlanAndAsks(t *testing.T) {
	s := serve(t, selfheal.Options{})
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	x := newTerminal(srv.URL)
	p := s.Status().Proposals[0]
	out := do(t, x, exitUsage, "approve", p.ID)
	require.Contains(t, out, "drop would run on store[a]: destructive")
	require.Contains(t, out, p.Fingerprint)
	do(t, x, exitMissing, "approve", p.ID, "-plan", "another")
	do(t, x, exitMissing, "approve", "none")
	x.interactive = true
	for _, answer := range []string{"no\n", "", "y\n"} {
		x.in = strings.NewReader(answer)
		do(t, x, exitNo, "approve", p.ID)
	}
	require.Len(t, s.Status().Proposals, 1)
	x.in = strings.NewReader("yes\n")
	do(t, x, exitDone, "approve", p.ID)
	eventually(t, "the step", func() bool {
		a := s.Status().Watches[0].Incidents[0].Attempts
		return len(a) == 1 && a[0].Step == "drop"
	})
	do(t, x, exitMissing, "reject", p.ID)
}

func TestWatchFollowsAndComesBack(t *testing.T) {
	s := serve(t, selfheal.Options{})
	srv := httptest.NewUnstartedServer(s.Handler())
	srv.Config.WriteTimeout = 300 * time.Millisecond // a stream may outlive it
	srv.Start()
	defer srv.Close()
	x := newTerminal(srv.URL)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() { done <- x.run(ctx, []string{"watch"}) }()
	n := 0
	eventually(t, "first line", func() bool { // the first ones may come before it listens
		n++
		require.NoError(t, s.Halt("bob", fmt.Sprint("release ", n)))
		return strings.Contains(x.text(), "halt by bob: release")
	})
	srv.CloseClientConnections()
	require.NoError(t, s.Resume("carol"))
	eventually(t, "line after the connection broke", func() bool { return strings.Contains(x.text(), "resume by carol") })
	cancel()
	require.Equal(t, exitDone, <-done)
}

func TestWhatIsNotUnderstoodIsSaid(t *testing.T) {
	x := newTerminal("http://127.0.0.1:1")
	for _, args := range [][]string{
		{}, {"nothing"}, {"status", "-nothing"}, {"status", "-o", "yaml"}, {"status", "too", "much"}, {"ack"}, {"help", "nothing"},
		{"status", "-url", "ftp://x"}, {"status", "-url", "https://u:p@x"}, {"status", "-url", "unix://"}, {"completion", "tcsh"},
		{"status", "-token-file", "/does/not/exist"}, {"status", "-url", "http://orders.example/"},
	} {
		do(t, x, exitUsage, args...)
		require.NotEmpty(t, x.bad.String())
		require.NotContains(t, x.bad.String(), token)
	}
	do(t, x, exitUnreachable, "status")
	require.Contains(t, x.bad.String(), "cannot be reached")
	require.Contains(t, do(t, x, exitDone, "help"), "journal DIR")
	require.Contains(t, do(t, x, exitDone, "help", "silence"), "-for")
	require.Contains(t, do(t, x, exitDone, "status", "-h"), "-check")
	require.Contains(t, do(t, x, exitDone, "version"), "selfheal ")
	require.True(t, json.Valid([]byte(do(t, x, exitDone, "version", "-o", "json"))))
	for _, shell := range []string{"bash", "zsh", "fish"} {
		require.Contains(t, do(t, x, exitDone, "completion", shell), "unsilence")
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	defer other.Close()
	do(t, x, exitMissing, "status", "-url", other.URL)
	require.Contains(t, x.bad.String(), "no console")
	strayed := false
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed = true }))
	defer evil.Close()
	away := httptest.NewServer(http.RedirectHandler(evil.URL, http.StatusFound))
	defer away.Close()
	do(t, x, exitUnreachable, "status", "-url", away.URL)
	require.Contains(t, x.bad.String(), evil.URL)
	require.False(t, strayed, "a token goes where it was meant to go")
}

func TestAJournalIsReadWithoutItsService(t *testing.T) {
	dir := t.TempDir()
	j, err := selfheal.OpenJournal(dir)
	if err != nil {
		t.Skipf("no journal on this system: %v", err)
	}
	s := serve(t, selfheal.Options{Journal: j})
	require.NoError(t, s.Halt("bob", "a release"))
	x := newTerminal("")
	eventually(t, "line", func() bool {
		return strings.Contains(do(t, x, exitDone, "journal", dir), "halt by bob: a release") // while it runs
	})
	s.stop()
	require.NoError(t, j.Close())
	out := do(t, x, exitDone, "journal", dir)
	require.Contains(t, out, "open store[a]: full")
	require.Equal(t, 1, strings.Count(out, "halt by bob"))
	require.NotContains(t, out, "\x1b")
	require.NotContains(t, out, "(engine")
	require.Contains(t, do(t, x, exitDone, "journal", dir, "-all"), "(engine")
	for l := range strings.Lines(do(t, x, exitDone, "journal", dir, "-all", "-o", "json")) {
		require.True(t, json.Valid([]byte(l)), l)
	}
	require.Contains(t, do(t, x, exitDone, "journal", dir, "-verify"), "nothing that is needed is missing")
	do(t, x, exitMissing, "journal", filepath.Join(dir, "none"))

	// What is damaged is said, and the rest is read all the same.
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	data, err := os.ReadFile(logs[0])
	require.NoError(t, err)
	at := bytes.Index(data, []byte("halt by bob"))
	require.Positive(t, at)
	copy(data[at:], "HALT")
	require.NoError(t, os.WriteFile(logs[0], data, 0o600))
	require.Contains(t, do(t, x, exitNo, "journal", dir, "-verify"), "DAMAGED")
	out = do(t, x, exitNo, "journal", dir)
	require.Contains(t, out, "DAMAGE")
	require.Contains(t, out, "open store[a]")
	require.True(t, json.Valid([]byte(do(t, x, exitNo, "journal", dir, "-verify", "-o", "json"))))
}

func TestASnapshotDoesNotSayThingsTwice(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(dir, journal.Options{})
	if err != nil {
		t.Skipf("no journal on this system: %v", err)
	}
	for _, err := range j.Replay() {
		require.NoError(t, err)
	}
	lines := []journal.Entry{{Type: typeAudit, Payload: []byte(`{"time":"2026-03-01T03:24:00Z","text":"halt by bob: a release"}`)}, {Type: 99, Payload: []byte("?")}}
	done := make(chan error, 2)
	require.NoError(t, j.Append(lines, func(err error) { done <- err }))
	require.NoError(t, <-done)
	require.NoError(t, j.Snapshot(lines, func(err error) { done <- err }))
	require.NoError(t, <-done)
	require.NoError(t, j.Close())
	require.Equal(t, 1, strings.Count(do(t, newTerminal(""), exitDone, "journal", dir), "halt by bob"))
}

func TestABundleIsOneLine(t *testing.T) {
	x := newTerminal("")
	(&call{world: &x.world}).evidence([]console.Evidence{
		{Name: "bundle", Ref: "b1"}, {Name: "a.txt", Ref: "b1/a.txt"}, {Name: "heap.pb.gz", Ref: "b1/heap.pb.gz"}, {Name: "trace", Ref: "https://traces.example/1"},
	})
	require.Equal(t, "    evidence bundle: b1: a.txt heap.pb.gz\n    evidence trace: https://traces.example/1\n", x.text())
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"\x1b]0;x\a", "\u009b31m", "a\nb", "\xff", "\u202e", "\r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range line(s) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Errorf("%q lets %q through", s, r)
			}
		}
	})
}
