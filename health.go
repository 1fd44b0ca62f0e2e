package selfheal

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// pulseWithin is how long the loop may take to show that it turns: less than a
// probe waits by default would call a busy process dead.
const pulseWithin = 5 * time.Second

// Ready answers a readiness probe: 200 while Run watches, and 503 before that and
// from the moment that Run is asked to end, so that a balancer sends nothing new
// while the last steps end. It says nothing about incidents: a service that heals
// is in service.
func (s *Supervisor) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		run, stop := s.run, s.stop
		s.mu.Unlock()
		switch {
		case run == nil:
			answer(w, http.StatusServiceUnavailable, "starting")
		case stop:
			answer(w, http.StatusServiceUnavailable, "stopping")
		default:
			answer(w, http.StatusOK, "ready")
		}
	})
}

// Live answers a liveness probe by progress: it asks the supervisor's loop for a
// turn, and answers 503 if there is none within 5 s. Each of moving is asked too,
// and an error of one is a 503: give it progress of the application's own work,
// never the state of a dependency, or all replicas restart when that one fails.
// Before and after Run it answers 200: there is nothing to be stuck.
func (s *Supervisor) Live(moving ...func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pulseWithin)
		defer cancel()
		if err := s.pulse(ctx); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		for _, f := range moving {
			if err := s.moves(ctx, f); err != nil {
				answer(w, http.StatusServiceUnavailable, err.Error())
				return
			}
		}
		answer(w, http.StatusOK, "live")
	})
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text)
}

// moves asks the application; its panic is an error.
func (s *Supervisor) moves(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = newPanic("a progress check of Live", x)
		}
	}()
	return f(ctx)
}

// Pulse returns nil once the supervisor's loop has turned, which it does at once
// unless it is stuck or the process starves; an error when ctx ends first. Before
// and after Run it returns nil. It is what a watchdog wants to know.
func (s *Supervisor) Pulse(ctx context.Context) error { return s.pulse(ctx) }

// pulse waits for a turn of the loop that begins after the call.
func (s *Supervisor) pulse(ctx context.Context) error {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	turned := make(chan struct{})
	s.inMu.Lock()
	s.pulses = append(s.pulses, turned)
	s.inMu.Unlock()
	s.poke()
	select {
	case <-turned:
		return nil
	case <-r.loopStopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("selfheal: the loop did not turn: %w", context.Cause(ctx))
	}
}

// systemd tells the service manager how the process is, for a unit of
// Type=notify: READY once every sound watch is started, STOPPING when Run is
// asked to end, and WATCHDOG at half of WatchdogSec as long as the loop turns. Its
// socket is opened at the start, so that it speaks when no descriptor is left.
type systemd struct {
	s     *Supervisor
	conn  messenger
	every time.Duration

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

type messenger interface {
	Write(b []byte) (int, error)
	Close() error
}

// newSystemd returns nil where nobody listens, or nobody asked for it.
func newSystemd(s *Supervisor) *systemd {
	if !s.o.Systemd {
		return nil
	}
	conn, every, err := dialSystemd()
	if err != nil {
		s.logger().Warn("selfheal: systemd is not told how this process is", "error", err)
	}
	if conn == nil {
		return nil
	}
	return &systemd{s: s, conn: conn, every: every / 2}
}

func (n *systemd) say(state string) {
	if n != nil {
		_, _ = n.conn.Write([]byte(state))
	}
}

// watch keeps systemd's watchdog quiet for as long as the loop turns.
func (n *systemd) watch() {
	if n == nil || n.every <= 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.timer = time.AfterFunc(n.every, func() {
		ctx, cancel := context.WithTimeout(context.Background(), n.every)
		defer cancel()
		if n.s.pulse(ctx) == nil {
			n.say("WATCHDOG=1")
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.over {
			n.timer.Reset(n.every)
		}
	})
}

func (n *systemd) close() {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.over = true
	if n.timer != nil {
		n.timer.Stop()
	}
	_ = n.conn.Close()
}
