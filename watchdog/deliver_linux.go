package watchdog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

const (
	dumpName = "goroutines.txt"
	lastName = "last-words.json"
)

// deliver tells people why the process is gone, and what it owed them.
func (c *child) deliver(why string) {
	c.mu.Lock()
	owed, dump := slices.Clone(c.owed), bytes.Clone(c.dump)
	c.mu.Unlock()
	now := time.Now()
	in := escalate.Incident{
		ID: fmt.Sprintf("watchdog-%s-%d-%d", c.Service, c.PID, now.Unix()), Watch: "selfheal", Service: c.Service,
		State: escalate.Open, Opened: now, Reason: escalate.Wedged,
		Finding: detect.Finding{Key: "watchdog", Severity: detect.Critical, Summary: why},
	}
	if len(dump) > 0 {
		path := filepath.Join(c.Dir, dumpName)
		if err := os.WriteFile(path, dump, 0o600); err == nil {
			in.Evidence = []escalate.Evidence{{Name: "goroutines", Type: "text/plain", Ref: path, Bytes: int64(len(dump)), At: now}}
			in.Detail = "its goroutines were dumped to " + path + "; whoever starts it should have started it again"
		} else {
			in.Detail = "its goroutines could not be written down: " + err.Error()
		}
	} else {
		in.Detail = "there is no dump of its goroutines: it was killed from outside, or it catches SIGQUIT; see its log"
	}
	n := escalate.Notification{ID: in.ID + "-t", DedupKey: in.ID, Kind: escalate.Trigger, Incident: in, At: now}
	if b, err := json.Marshal(n); err == nil {
		_ = writeFile(filepath.Join(c.Dir, lastName), b)
	}
	c.send(append([]escalate.Notification{n}, owed...))
}

// writeFile replaces a file as a whole.
func writeFile(path string, b []byte) error {
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// earlier is what the child of an earlier life told people, nil if nothing.
func (c *child) earlier() *escalate.Notification {
	b, err := os.ReadFile(filepath.Join(c.Dir, lastName))
	if err != nil {
		return nil
	}
	var n escalate.Notification
	if json.Unmarshal(b, &n) != nil {
		return nil
	}
	return &n
}

// recovered tells those who were told that the process runs again.
func (c *child) recovered(n escalate.Notification) {
	n.ID, n.Kind, n.At = n.DedupKey+"-r", escalate.Resolve, time.Now()
	n.Incident.State, n.Incident.Closed = escalate.Closed, n.At
	n.Incident.Detail = "the process runs again"
	if c.send([]escalate.Notification{n}) {
		_ = os.Remove(filepath.Join(c.Dir, lastName))
	}
}

// send delivers in order, each until it is taken or its time is over. It says
// whether all were taken.
func (c *child) send(ns []escalate.Notification) (all bool) {
	to, err := c.notifier()
	if err != nil {
		fmt.Fprintln(os.Stderr, "watchdog: cannot deliver:", err)
		return false
	}
	end := time.Now().Add(c.DeliverFor)
	all = true
	for _, n := range ns {
		for pause := time.Second; ; pause = min(2*pause, time.Minute) {
			err := notify(to, n)
			if err == nil {
				break
			}
			wait := pause
			var f *escalate.Failure
			if errors.As(err, &f) && f.RetryAfter > wait {
				wait = f.RetryAfter
			}
			if escalate.IsPermanent(err) || time.Now().Add(wait).After(end) {
				fmt.Fprintf(os.Stderr, "watchdog: %s was not delivered: %v\n", n.Title(), err)
				all = false
				break
			}
			time.Sleep(wait)
		}
	}
	return all
}

func (c *child) notifier() (n escalate.Notifier, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("the function that Main was given panicked: %v", x)
		}
	}()
	if c.build == nil {
		return nil, errors.New("Main was given no function that makes a notifier")
	}
	if n, err = c.build(c.Config); err == nil && n == nil {
		err = errors.New("the function that Main was given returned no notifier")
	}
	return n, err
}

func notify(to escalate.Notifier, n escalate.Notification) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("the notifier panicked: %v", x)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return to.Notify(ctx, n)
}
