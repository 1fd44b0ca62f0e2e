// Service is a small order service with every built-in pack installed: heal.go has
// the lines. It takes orders by HTTP, queues them, calls a payment provider for
// each, and has a database at hand ($DATABASE_URL; it starts without one). It runs
// for -for, with clients of its own, and then says how everything stood.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/dependency"
	"github.com/selfheal-go/selfheal/builtin/goruntime"
	"github.com/selfheal-go/selfheal/builtin/queue"
	"github.com/selfheal-go/selfheal/builtin/sqlpool"
	"github.com/selfheal-go/selfheal/builtin/worker"
)

type order struct {
	queue.Stamp
	number int64
}

type service struct {
	heal     *selfheal.Supervisor
	caches   goruntime.Caches
	scratch  string
	jobs     chan order
	meter    *queue.Meter
	pool     *queue.Pool
	gate     *queue.Gate
	workers  *worker.Group
	db       *sql.DB
	tracker  *sqlpool.Tracker
	client   *dependency.Client
	payments string
	paid     atomic.Int64
	taken    atomic.Int64
}

func main() {
	length := flag.Duration("for", 10*time.Second, "how long it runs; 0: until it is interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *length > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *length)
		defer cancel()
	}
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is the whole service, until ctx ends.
func run(ctx context.Context, out io.Writer) error {
	s, end, err := build()
	if err != nil {
		return err
	}
	defer end()
	healed := make(chan error, 1)
	go func() { healed <- s.Heal(ctx) }()
	worked := make(chan error, 1)
	go func() { worked <- s.workers.Run(ctx) }()
	<-ctx.Done()
	err = errors.Join(<-healed, <-worked)
	s.report(out)
	return err
}

func build() (s *service, end func(), err error) {
	s = &service{jobs: make(chan order, 1000), meter: queue.NewMeter(queue.CoDelOptions{})}
	if s.scratch, err = os.MkdirTemp("", "service"); err != nil {
		return nil, nil, err
	}
	if s.scratch, err = filepath.EvalSymlinks(s.scratch); err != nil {
		return nil, nil, err
	}
	s.tracker = sqlpool.NewTracker(sqlpool.TrackerOptions{})
	if s.db, err = s.tracker.Open("pgx", os.Getenv("DATABASE_URL")); err != nil {
		return nil, nil, err
	}
	provider, err := listen(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	if err != nil {
		return nil, nil, err
	}
	s.payments = "http://" + provider.Addr
	s.client = dependency.NewClient(dependency.ClientOptions{Name: "payments"})
	payments := &http.Client{Transport: s.client.Transport(dependency.TransportOptions{}), Timeout: 5 * time.Second}
	s.gate = queue.NewGate(queue.GateOptions{Overloaded: s.meter.Overloaded})
	s.pool = queue.NewPool(queue.PoolOptions{Size: 4, Work: queue.Each(s.jobs, func(ctx context.Context, o order) error {
		s.meter.Leave(o.Stamp)
		resp, err := payments.Get(s.payments + "/pay")
		if err != nil {
			slog.Warn("an order waits for its payment", "number", o.number, "error", err)
			return nil
		}
		s.paid.Add(1)
		return resp.Body.Close()
	})})
	front, err := listen(s.gate.Handler(http.HandlerFunc(s.order), nil))
	if err != nil {
		return nil, nil, err
	}
	s.workers = worker.NewGroup(worker.GroupOptions{})
	err = s.workers.Add(
		worker.Spec{Name: "pool", Run: func(ctx context.Context, _ func()) error { return s.pool.Run(ctx) }},
		worker.Spec{Name: "clients", Budget: 5 * time.Second, Run: func(ctx context.Context, beat func()) error {
			return customers(ctx, beat, "http://"+front.Addr+"/orders")
		}},
	)
	return s, func() {
		_ = front.Close()
		_ = provider.Close()
		_ = s.db.Close()
		_ = os.RemoveAll(s.scratch)
	}, err
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

// order takes one in.
func (s *service) order(w http.ResponseWriter, _ *http.Request) {
	o := order{Stamp: s.meter.Enter(), number: s.taken.Add(1)}
	select {
	case s.jobs <- o:
		w.WriteHeader(http.StatusAccepted)
	default:
		s.meter.Withdraw(o.Stamp)
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// customers order twenty times a second.
func customers(ctx context.Context, beat func(), url string) error {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			beat()
			resp, err := http.Post(url, "text/plain", nil)
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
		}
	}
}

// report says how everything stood.
func (s *service) report(out io.Writer) {
	fmt.Fprintf(out, "%d orders taken, %d paid\n", s.taken.Load(), s.paid.Load())
	for _, w := range s.heal.Status().Watches {
		state := w.State
		switch {
		case len(w.Problems) > 0:
			state += ": " + w.Problems[0].What
		case len(w.Incidents) > 0:
			state += ": " + w.Incidents[0].Finding.Summary
		case w.Blind != "":
			state += ": " + w.Blind
		}
		fmt.Fprintf(out, "  %-32s %s\n", w.Name, state)
	}
}
