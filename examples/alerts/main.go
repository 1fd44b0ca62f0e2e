// Alerts heals on what existing monitoring says, and tells people through it: a
// service whose Alertmanager posts to it, two watches on its alerts, and a pager
// behind a signed webhook. The Alertmanager is played by this program, with the
// bodies that the real one sends.
//
// Monitoring says "resolved" minutes after the fact. So a step on an alert either
// asks the service itself (Verify: "disk-full"), or settles for as long as the
// alert may lag ("slow-replica"). Here that is 2 s rather than the usual 6 min.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect/alertmanager"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/webhook"
	"github.com/selfheal-go/selfheal/remediate"
)

// Both ends share these; in earnest they come from the environment.
const (
	token  = "monitoring-may-post"
	secret = "whsec_c2VjcmV0LXRoYXQtb25seS10d28ta25vdw=="
	lag    = 2 * time.Second
)

func main() {
	flag.Parse()
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// service is what is sick.
type service struct {
	diskUsed   atomic.Int64 // percent
	slow       atomic.Bool
	restarts   atomic.Int64
	unfixable  atomic.Bool
	alertsFrom *alertmanager.Receiver
}

func (s *service) watches() []selfheal.Watch {
	return []selfheal.Watch{{
		Name: "disk-full", Detector: s.alertsFrom.Alerts("HostDiskFull", "mount=/var"), KeepFor: time.Second,
		Playbook: remediate.Ladder(remediate.Step{
			Name: "clean", Lasting: true, Settle: 100 * time.Millisecond,
			Run: func(context.Context, remediate.Request) error { s.diskUsed.Store(40); return nil },
			Verify: func(context.Context, remediate.Request) error { // the service knows before monitoring does
				if used := s.diskUsed.Load(); used > 80 {
					return fmt.Errorf("%d %% used", used)
				}
				return nil
			},
		}),
	}, {
		Name: "slow-replica", Detector: s.alertsFrom.Alerts("ReplicaSlow"), KeepFor: time.Second,
		Playbook: remediate.Ladder(remediate.Step{
			Name: "reconnect", Lasting: true, Settle: lag, // monitoring will know by then
			Run: func(context.Context, remediate.Request) error {
				s.restarts.Add(1)
				if !s.unfixable.Load() {
					s.slow.Store(false)
				}
				return nil
			},
		}),
	}}
}

// run plays it once, and returns an error if it did not go as it should.
func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	show := newScreen(out)

	people, err := newPager(show)
	if err != nil {
		return err
	}
	defer people.Close()
	page, err := webhook.New(webhook.Config{URL: escalate.Secret("http://" + people.Addr), Secrets: []escalate.Secret{secret}})
	if err != nil {
		return err
	}

	s := &service{}
	if s.alertsFrom, err = alertmanager.New(alertmanager.Config{Bearer: token, Lag: lag}); err != nil {
		return err
	}
	front, err := listen(s.alertsFrom)
	if err != nil {
		return err
	}
	defer front.Close()

	heal := selfheal.New(selfheal.Options{
		Service: "orders", Every: 200 * time.Millisecond, Escalate: escalate.To(escalate.Named("pager", page)),
		Logger: slog.New(slog.DiscardHandler), Observer: show,
	})
	heal.Watch(s.watches()...)
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- heal.Run(running) }()

	monitoring := &monitoring{url: "http://" + front.Addr, show: show}
	if err := scenes(ctx, s, heal, monitoring, people); err != nil {
		return err
	}
	stop()
	return <-done
}

// scenes are what befalls the service, one after the other.
func scenes(ctx context.Context, s *service, heal *selfheal.Supervisor, m *monitoring, people *pager) error {
	m.show.say("a disk fills; monitoring sees it, and sees that it is over %v late", lag)
	s.diskUsed.Store(97)
	if err := m.posts(ctx, "firing", "HostDiskFull", "/var is 97 % full"); err != nil {
		return err
	}
	if err := until(ctx, func() bool { return s.diskUsed.Load() == 40 }); err != nil {
		return fmt.Errorf("the disk was not cleaned: %w", err)
	}
	if err := m.late(ctx, "HostDiskFull", "/var is 97 % full"); err != nil {
		return err
	}
	if err := until(ctx, func() bool { return open(heal) == 0 }); err != nil {
		return fmt.Errorf("the first incident did not close: %w", err)
	}
	if people.told.Load() != 0 {
		return errors.New("people were called for what healed by itself")
	}

	m.show.say("a replica is slow, and reconnecting does not help: people are called")
	s.slow.Store(true)
	s.unfixable.Store(true)
	if err := m.posts(ctx, "firing", "ReplicaSlow", "replica 2 answers in 3 s"); err != nil {
		return err
	}
	if err := until(ctx, func() bool { return people.told.Load() == 1 }); err != nil {
		return fmt.Errorf("nobody was called: %w", err)
	}
	m.show.say("the same alert again: a repeat starts nothing")
	if err := m.posts(ctx, "firing", "ReplicaSlow", "replica 2 answers in 3 s"); err != nil {
		return err
	}
	if err := m.forged(ctx); err != nil {
		return err
	}
	m.show.say("a person mends it; monitoring says so, and so do we")
	if err := m.late(ctx, "ReplicaSlow", "replica 2 answers in 3 s"); err != nil {
		return err
	}
	if err := until(ctx, func() bool { return people.resolved.Load() == 1 && open(heal) == 0 }); err != nil {
		return fmt.Errorf("people were not told that it is over: %w", err)
	}
	if n := s.restarts.Load(); n != 1 {
		return fmt.Errorf("reconnect ran %d times: a repeat must not start it again", n)
	}
	m.show.say("done: one fault healed without anybody, one with a person, nothing done twice")
	return nil
}

// open is how many incidents are.
func open(heal *selfheal.Supervisor) (n int) {
	for _, w := range heal.Status().Watches {
		n += len(w.Incidents)
	}
	return n
}

// until waits for something to become true.
func until(ctx context.Context, is func() bool) error {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for !is() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// screen prints what happens, with the seconds since the start.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newScreen(out io.Writer) *screen { return &screen{out: out, start: time.Now()} }

func (s *screen) print(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%5.1fs  %-10s  %s\n", time.Since(s.start).Seconds(), who, fmt.Sprintf(format, args...))
}

func (s *screen) say(format string, args ...any) { s.print("", format, args...) }

// Observe prints the supervisor's events.
func (s *screen) Observe(_ context.Context, e selfheal.Event) {
	switch e.(type) {
	case selfheal.EventOpen, selfheal.EventStep, selfheal.EventPage, selfheal.EventResolve, selfheal.EventClose:
		s.print("selfheal", "%s", e)
	}
}

// listen serves on a port of its own on loopback.
func listen(h http.Handler) (*http.Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Addr: l.Addr().String(), Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }()
	return server, nil
}
