package watchdog

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/selfheal-go/selfheal/escalate"
)

// keptOwed bounds what the child remembers for its parent; keptDump the dump.
const (
	keptOwed = 100
	keptDump = 16 << 20
)

// apart lets the child outlive a signal to the group of its parent.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Main is the first line of main. In the child it watches, delivers and exits; in
// any other process it returns at once. build makes the notifier that the child
// delivers through, out of Options.Config.
func Main(build func(config []byte) (escalate.Notifier, error)) {
	parent := os.Getenv(marker)
	if parent == "" || flag.Lookup("test.v") != nil {
		return
	}
	messages, dumps := inherited(fdMessages), inherited(fdCrash)
	pid, err := strconv.Atoi(parent)
	if messages == nil || dumps == nil || err != nil || os.Getppid() != pid {
		return // the marker alone, inherited by somebody else's child
	}
	// Those of a terminal or a service manager are for the parent; what follows
	// from them is seen here.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	os.Exit(watch(messages, dumps, pid, build))
}

// inherited returns the pipe behind a descriptor; nil if it is none.
func inherited(fd int) *os.File {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "watchdog")
}

// child is what the child knows.
type child struct {
	hello
	build func([]byte) (escalate.Notifier, error)
	pidfd int

	mu   sync.Mutex
	owed []escalate.Notification
	dump []byte
	beat time.Time
	bye  bool
}

func watch(messages, dumps *os.File, pid int, build func([]byte) (escalate.Notifier, error)) (code int) {
	c := &child{build: build}
	lines := bufio.NewReader(messages)
	first, err := lines.ReadBytes('\n')
	if err != nil || json.Unmarshal(first, &c.hello) != nil || c.PID != pid {
		return 1
	}
	if c.pidfd, err = unix.PidfdOpen(pid, 0); err != nil || os.Getppid() != pid {
		fmt.Fprintln(os.Stderr, "watchdog: cannot hold the parent:", err)
		return 1
	}
	c.beat = time.Now()
	eof, dumped := make(chan struct{}), make(chan struct{})
	go func() { defer close(eof); c.listen(lines) }()
	go func() { defer close(dumped); c.collect(dumps) }()
	said := make(chan struct{})
	why := c.guard(eof, func() {
		go func() {
			defer close(said)
			if n := c.earlier(); n != nil {
				c.recovered(*n)
			}
		}()
	})
	if why == "" {
		// What it has no time for now is said in the next life.
		select {
		case <-said:
		case <-time.After(3 * time.Second):
		}
		return 0
	}
	c.end(why, dumped)
	return 0
}

// listen takes in what the parent says until it says no more.
func (c *child) listen(r *bufio.Reader) {
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(line, &m) != nil {
			continue
		}
		c.mu.Lock()
		switch {
		case m.Bye:
			c.bye = true
		case m.Owe != nil:
			c.forget(m.Owe.ID)
			c.owed = append(c.owed, *m.Owe)
			c.owed = c.owed[max(len(c.owed)-keptOwed, 0):]
		case m.Done != "":
			c.forget(m.Done)
		}
		c.beat = time.Now()
		c.mu.Unlock()
	}
}

func (c *child) forget(id string) {
	for n := range c.owed {
		if c.owed[n].ID == id {
			c.owed = append(c.owed[:n:n], c.owed[n+1:]...)
			return
		}
	}
}

// collect reads the dump, of which the beginning is kept.
func (c *child) collect(r io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		c.mu.Lock()
		if len(c.dump) < keptDump {
			c.dump = append(c.dump, buf[:n]...)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// guard watches until the parent is gone, or wedged: why, or "" after a goodbye.
// alive is called once, at the first beat that it sees.
func (c *child) guard(eof <-chan struct{}, alive func()) (why string) {
	began := time.Now()
	var stopped time.Duration
	turn := min(c.Timeout/10, time.Second)
	for last := time.Now(); ; {
		select {
		case <-eof:
		case <-time.After(turn):
		}
		now := time.Now()
		gone := c.gone()
		c.mu.Lock()
		beat, bye := c.beat, c.bye
		c.mu.Unlock()
		if bye {
			return ""
		}
		if gone {
			return "the process ended without having been stopped"
		}
		if beat.After(began) {
			alive()
			alive = func() {}
		}
		// While this process did not run, neither may the parent have.
		if late := now.Sub(last) - turn; late > turn {
			c.excuse(late)
			beat = beat.Add(late)
		}
		if c.stopped() {
			stopped += now.Sub(last)
			c.excuse(now.Sub(last))
			if stopped > c.StopLimit {
				return fmt.Sprintf("the process has been stopped for %v", stopped.Round(time.Second))
			}
		} else if silent := now.Sub(beat); silent > c.Timeout {
			return fmt.Sprintf("the process has made no progress for %v", silent.Round(time.Second))
		} else if beat.After(last) {
			stopped = 0
		}
		last = now
	}
}

// excuse leaves a time out of the silence.
func (c *child) excuse(d time.Duration) {
	c.mu.Lock()
	c.beat = c.beat.Add(d)
	c.mu.Unlock()
}

// gone says whether the parent has ended: its pidfd is readable then.
func (c *child) gone() bool {
	fds := []unix.PollFd{{Fd: int32(c.pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// stopped says whether the parent is stopped or traced.
func (c *child) stopped() bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.PID))
	if err != nil {
		return false
	}
	s := state(string(b))
	return s == 'T' || s == 't'
}

// state is the third field of /proc/PID/stat; the second, in parentheses, may
// hold anything.
func state(stat string) byte {
	for n := len(stat) - 1; n >= 0; n-- {
		if stat[n] == ')' {
			if n+2 < len(stat) {
				return stat[n+2]
			}
			break
		}
	}
	return 0
}

// end takes the dump, ends the parent, and delivers.
func (c *child) end(why string, dumped <-chan struct{}) {
	if !c.gone() {
		_ = unix.PidfdSendSignal(c.pidfd, unix.SIGQUIT, nil, 0)
		if c.stopped() {
			_ = unix.PidfdSendSignal(c.pidfd, unix.SIGCONT, nil, 0)
		}
		for end := time.Now().Add(c.DumpWait); time.Now().Before(end) && !c.gone(); {
			time.Sleep(10 * time.Millisecond)
		}
		if !c.gone() {
			_ = unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, 0)
		}
	}
	select {
	case <-dumped: // the pipe ends with the parent
	case <-time.After(c.DumpWait):
	}
	c.deliver(why)
}
