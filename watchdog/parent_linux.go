package watchdog

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"time"
)

// marker is the environment variable of a child; its value is the process id of
// its parent.
const marker = "SELFHEAL_WATCHDOG_OF"

// The descriptors that a child inherits.
const (
	fdMessages = 3
	fdCrash    = 4
)

// Start starts the child and the heartbeat. Call [Watchdog.Stop] before the process
// ends in order. It sets debug.SetCrashOutput for the process, which Stop takes
// back. ctx bounds the start alone.
func Start(ctx context.Context, o Options) (*Watchdog, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("watchdog: Options.Dir: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	messages, mine, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	defer messages.Close()
	dumps, crash, err := os.Pipe()
	if err != nil {
		_ = mine.Close()
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	defer dumps.Close()
	w := &Watchdog{o: o, pipe: mine, crash: crash, ended: make(chan struct{})}
	w.child = exec.Command(exe)
	w.child.Env = append(os.Environ(), fmt.Sprintf("%s=%d", marker, os.Getpid()))
	w.child.ExtraFiles = []*os.File{messages, dumps}
	w.child.Stderr = os.Stderr
	w.child.SysProcAttr = apart()
	if err := w.child.Start(); err != nil {
		_ = mine.Close()
		_ = crash.Close()
		return nil, fmt.Errorf("watchdog: start the child: %w", err)
	}
	go func() {
		_ = w.child.Wait()
		close(w.ended)
	}()
	b, err := json.Marshal(hello{
		PID: os.Getpid(), Service: o.Service, Dir: o.Dir, Config: o.Config,
		Timeout: o.Timeout, StopLimit: o.StopLimit, DumpWait: o.DumpWait, DeliverFor: o.DeliverFor,
	})
	if err == nil {
		if end, ok := ctx.Deadline(); ok {
			_ = mine.SetWriteDeadline(end)
		}
		_, err = mine.Write(append(b, '\n'))
	}
	if err == nil {
		err = debug.SetCrashOutput(crash, debug.CrashOptions{})
	}
	w.mu.Lock()
	w.timer = time.AfterFunc(0, w.beat)
	w.mu.Unlock()
	if err != nil {
		w.Stop()
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	return w, nil
}

func (w *Watchdog) forgetCrash() {
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	_ = w.crash.Close()
}
