//go:build !unix

package process

import (
	"os"
	"os/exec"
	"sync"
	"time"
)

// A group is the program alone: this system has no process groups that end
// together.
type group struct {
	cmd *exec.Cmd
	id  int

	mu  sync.Mutex
	cut bool
}

func newGroup(cmd *exec.Cmd) *group { return &group{cmd: cmd} }

func (g *group) end(time.Duration) error {
	err := g.cmd.Process.Kill()
	if err == nil {
		g.mu.Lock()
		g.cut = true
		g.mu.Unlock()
	}
	return err
}

func (g *group) awaitLeader() {}
func (g *group) finish()      {}

func (g *group) interrupted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cut
}

func signalOf(*os.ProcessState) os.Signal { return nil }
