package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// stoppedChild watches a tree for pressure, and says what happens.
func stoppedChild() int {
	say := func(v any) { fmt.Fprintln(os.Stderr, v) }
	sup := selfheal.New(selfheal.Options{
		Logger: quiet(), Escalate: escalate.To(escalate.Log(quiet())),
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) { say(e) }),
	})
	o := Options{Root: os.Getenv("TREE"), Every: 50 * time.Millisecond, DropCaches: func(context.Context) error { say("acted"); return nil }}
	looked := make(chan struct{}, 1)
	w := MemoryPressure(o)
	w.Detector = &noted{w.Detector.(*memoryPressure), looked}
	sup.Watch(w)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	orphaned(cancel)
	go func() { <-looked; say("ready") }()
	if sup.Run(ctx) != nil {
		return 3
	}
	return 0
}

// noted tells that a look was made.
type noted struct {
	*memoryPressure
	looked chan struct{}
}

func (n *noted) Detect(ctx context.Context) (found []detect.Finding, err error) {
	found, err = n.memoryPressure.Detect(ctx)
	select {
	case n.looked <- struct{}{}:
	default:
	}
	return found, err
}

// A process that was stopped itself sees pressure when it goes on, which may be its own
// absence: it acts on nothing.
func TestAStoppedProcessDoesNotAct(t *testing.T) {
	t.Parallel()
	tr := recorded(t, "v2")
	tr.set(v2Group+"memory.pressure", stalledFor(0, 0))
	cmd, said := as(t, "stopped", "TREE="+tr.root)
	require.NoError(t, cmd.Start())
	wait := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(said.String(), text) }, 30*time.Second, 5*time.Millisecond, said)
	}
	wait("ready")
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(3 * time.Second) // longer than the supervisor may be late
	tr.set(v2Group+"memory.pressure", stalledFor(9*time.Second, 9*time.Second))
	require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
	wait("drop-caches: tilt")
	before, _, _ := strings.Cut(said.String(), "drop-caches: tilt")
	require.NotContains(t, before, "acted")
}

// healthChild is a service without a descriptor left, whose health is still asked for.
func healthChild() int {
	limit := syscall.Rlimit{Cur: 100, Max: 100}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	reserve, err := NewReserve(0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	defer reserve.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	orphaned(func() { _ = s.Close() })
	var kept []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			break
		}
		kept = append(kept, f)
	}
	err = reserve.Do(func() error {
		t := &http.Transport{DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: t, Timeout: 5 * time.Second}).Get(os.Getenv("PARENT") + "/ready?" + l.Addr().String())
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	_ = s.Serve(reserve.Listener(l))
	for _, f := range kept {
		_ = f.Close()
	}
	return 0
}

// A service without a descriptor left still answers when it is asked for its health.
func TestHealthIsAnsweredWithoutADescriptorLeft(t *testing.T) {
	t.Parallel()
	address, asked := parent(t)
	cmd, said := as(t, "health", "PARENT="+address)
	require.NoError(t, cmd.Start())
	health := "http://" + hear(t, asked, "/ready?", said)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for range 3 {
		resp, err := client.Get(health)
		require.NoError(t, err, said)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
}
