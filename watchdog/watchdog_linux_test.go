package watchdog_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
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

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/watchdog"
)

var service = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "watchdog")
	if err != nil {
		return "", err
	}
	exe := filepath.Join(dir, "service")
	out, err := exec.Command("go", "build", "-o", exe, "./testdata/service").CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return exe, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if exe, err := service(); err == nil {
		_ = os.RemoveAll(filepath.Dir(exe))
	}
	os.Exit(code)
}

// stage is one process with its watchdog, and the people it calls.
type stage struct {
	cmd  *exec.Cmd
	out  *bufio.Reader
	dir  string
	told chan escalate.Notification
	url  string
}

func start(t *testing.T, what string) *stage {
	exe, err := service()
	require.NoError(t, err, exe)
	s := &stage{dir: filepath.Join(t.TempDir(), "dog"), told: make(chan escalate.Notification, 10)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var n escalate.Notification
		if json.Unmarshal(b, &n) == nil {
			s.told <- n
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	s.run(t, exe, what)
	return s
}

func (s *stage) run(t *testing.T, exe, what string) {
	s.cmd = exec.Command(exe, what, s.dir, s.url)
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { _ = s.cmd.Process.Kill(); _ = s.cmd.Wait() })
	s.out = bufio.NewReader(out)
	s.line(t, "up")
}

func (s *stage) line(t *testing.T, want string) {
	got, err := s.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, want+"\n", got)
}

func (s *stage) hears(t *testing.T) escalate.Notification {
	t.Helper()
	select {
	case n := <-s.told:
		return n
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was told")
		panic(nil)
	}
}

func TestAWedgedProcessIsDumpedEndedAndReported(t *testing.T) {
	s := start(t, "wedge")
	n := s.hears(t)
	require.Error(t, s.cmd.Wait(), "it was ended")
	require.Equal(t, escalate.Trigger, n.Kind)
	require.Equal(t, escalate.Wedged, n.Incident.Reason)
	require.Contains(t, n.Incident.Finding.Summary, "no progress for")
	require.Len(t, n.Incident.Evidence, 1)
	b, err := os.ReadFile(n.Incident.Evidence[0].Ref)
	require.NoError(t, err)
	require.Contains(t, string(b), "main.main")
	require.Contains(t, string(b), "SIGQUIT")

	// The next life says that it is over.
	exe, _ := service()
	s.run(t, exe, "steady")
	r := s.hears(t)
	require.Equal(t, escalate.Resolve, r.Kind)
	require.Equal(t, n.DedupKey, r.DedupKey)
}

func TestAnApplicationThatCatchesTheSignal(t *testing.T) {
	s := start(t, "catch")
	n := s.hears(t)
	require.Error(t, s.cmd.Wait())
	require.Empty(t, n.Incident.Evidence)
	require.Contains(t, n.Incident.Detail, "it catches SIGQUIT")
}

func TestAKilledProcessIsReportedAndWhatItOwedDelivered(t *testing.T) {
	s := start(t, "owe")
	s.line(t, "sending")
	time.Sleep(100 * time.Millisecond) // for the child to have read it
	require.NoError(t, s.cmd.Process.Kill())
	n := s.hears(t)
	require.Contains(t, n.Incident.Finding.Summary, "ended without having been stopped")
	owed := s.hears(t)
	require.Equal(t, "owed", owed.ID, "under the same id")
	require.Equal(t, "queue", owed.Incident.Watch)
	_ = s.cmd.Wait()
	select {
	case n := <-s.told:
		t.Fatalf("also told: %s", n.Title())
	case <-time.After(200 * time.Millisecond):
	}
}

func TestACleanEndTellsNobody(t *testing.T) {
	s := start(t, "clean")
	require.NoError(t, s.cmd.Wait())
	select {
	case n := <-s.told:
		t.Fatalf("told: %s", n.Title())
	case <-time.After(300 * time.Millisecond):
	}
}

func TestAStopWithinItsLimitIsNoDeath(t *testing.T) {
	s := start(t, "steady")
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(2500 * time.Millisecond) // longer than Timeout, shorter than StopLimit
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGCONT))
	select {
	case n := <-s.told:
		t.Fatalf("told: %s", n.Title())
	case <-time.After(time.Second):
	}
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
	require.Contains(t, s.hears(t).Incident.Finding.Summary, "has been stopped for")
	require.Error(t, s.cmd.Wait())
}

// The marker alone, inherited by somebody else's child, makes no watchdog.
func TestTheMarkerAloneIsNotEnough(t *testing.T) {
	exe, err := service()
	require.NoError(t, err)
	cmd := exec.Command(exe, "clean", filepath.Join(t.TempDir(), "dog"), "http://127.0.0.1:1")
	cmd.Env = append(os.Environ(), "SELFHEAL_WATCHDOG_OF=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(out), "up\n"), "%s", out)
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := watchdog.Start(context.Background(), watchdog.Options{Every: time.Second, Timeout: -1})
	require.ErrorContains(t, err, "Progress is nil")
	require.ErrorContains(t, err, "Dir is empty")
	require.ErrorContains(t, err, "Timeout is -1ns")
	_, err = watchdog.Start(context.Background(), watchdog.Options{
		Every: time.Second, Timeout: time.Second, Dir: t.TempDir(), Progress: func(context.Context) error { return nil },
	})
	require.ErrorContains(t, err, "one late beat")
	var none *watchdog.Watchdog
	none.Stop()
	require.NotNil(t, none.Guard(escalate.Log(nil)))
}
