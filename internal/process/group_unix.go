//go:build unix

package process

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// A group is the process group that a program leads. Its id is that of the
// program, and the kernel gives a number away again once the group is empty and
// its leader reaped. So nothing is signalled from the moment on at which the
// leader may have been reaped, except by the last finish where the system gives no
// earlier moment.
type group struct {
	cmd *exec.Cmd
	id  int

	mu       sync.Mutex
	over     bool        // the leader ended: no more signals
	cut      bool        // the group was signalled while the leader lived
	deadline *time.Timer // of the grace period
}

func newGroup(cmd *exec.Cmd) *group {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &group{cmd: cmd}
}

// end asks the group to end, and makes it after the grace period.
func (g *group) end(grace time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return os.ErrProcessDone
	}
	sig := syscall.SIGTERM
	if grace <= 0 {
		sig = syscall.SIGKILL
	}
	if err := g.signal(sig); err != nil {
		return err
	}
	g.cut = true
	if grace > 0 {
		g.deadline = time.AfterFunc(grace, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if !g.over {
				// A process that we may not signal keeps us waiting; see Run.
				_ = g.signal(syscall.SIGKILL)
			}
		})
	}
	return nil
}

// signal is called with g.mu held, while the program is started and not reaped.
func (g *group) signal(sig syscall.Signal) error {
	err := syscall.Kill(-g.cmd.Process.Pid, sig)
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

// awaitLeader returns when the leader has ended. Where the system can say that
// before the leader is reaped, what is left of the group is killed now, while
// the number is still ours.
func (g *group) awaitLeader() {
	g.id = g.cmd.Process.Pid
	if awaitUnreaped(g.id) {
		g.finish()
	}
}

// finish kills what is left of the group, once.
func (g *group) finish() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return
	}
	_ = g.signal(syscall.SIGKILL)
	g.over = true
	if g.deadline != nil {
		g.deadline.Stop()
	}
}

// interrupted says whether the program was told to end while it ran.
func (g *group) interrupted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cut
}

func signalOf(state *os.ProcessState) os.Signal {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal()
	}
	return nil
}
