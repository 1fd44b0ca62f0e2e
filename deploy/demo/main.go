// Demo is a service with everything wrong, to try the dashboard and the rules on:
//
//	go run ./deploy/demo -listen 127.0.0.1:9101
//
// It heals, relapses, gives up, cannot see, is held, halted and silenced, and one of
// its notifiers does not answer. Its metrics are at /metrics, as OpenMetrics where
// the scraper asks for that; the address is printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where /metrics is served")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, listen string) error {
	s := selfheal.New(selfheal.Options{
		Service: "demo", Logger: slog.New(slog.DiscardHandler), Every: 200 * time.Millisecond, Escalate: escalate.To(
			escalate.Named("pager", escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil })),
			escalate.Named("chat", escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return errors.New("HTTP 503") })),
		),
	})
	s.Watch(watches()...)
	if err := s.Validate(); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(s.Collector()); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/metrics\n", l.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	stopMeddling := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopMeddling()
	go meddle(ctx, s)
	err = s.Run(ctx)
	_ = server.Close()
	if x := <-served; !errors.Is(x, http.ErrServerClosed) {
		err = errors.Join(err, x)
	}
	return err
}

// watches fall sick of themselves, each in its way.
func watches() []selfheal.Watch {
	number := func(f func() int) *detect.Threshold[int] {
		return detect.Above(func(context.Context) (int, error) { return f(), nil }, 5).Unit("jobs")
	}
	always := number(func() int { return 9 })
	safe := func(name string, run func()) remediate.Step {
		return remediate.Step{Name: name, Risk: remediate.Safe, Settle: time.Second, Run: func(context.Context, remediate.Request) error { run(); return nil }}
	}
	quick := func(name string, d detect.Detector, steps ...remediate.Step) selfheal.Watch {
		return selfheal.Watch{Name: name, Detector: d, KeepFor: time.Second, Playbook: remediate.Playbook{
			Steps: steps, Limits: remediate.Limits{Cooldown: -1, Breaker: remediate.Breaker{Failures: 2, OpenFor: time.Hour}},
		}}
	}
	// Another worker hangs every few seconds, and is restarted.
	var worker, since atomic.Int64
	since.Store(time.Now().UnixNano())
	hung := func() (string, bool) {
		return "worker-" + strconv.FormatInt(worker.Load(), 10), time.Since(time.Unix(0, since.Load())) > 2*time.Second
	}
	workers := quick("workers", detect.Func(func(context.Context) ([]detect.Finding, error) {
		if key, is := hung(); is {
			return []detect.Finding{{Key: key, Severity: detect.Warning, Summary: "hangs"}}, nil
		}
		return nil, nil
	}), safe("restart-worker", func() { worker.Add(1); since.Store(time.Now().UnixNano()) }))
	// The same queue fills again after each fix.
	var drained atomic.Int64
	queue := quick("queue", number(func() int {
		if time.Since(time.Unix(0, drained.Load())) > 5*time.Second {
			return 9
		}
		return 1
	}), safe("drain", func() { drained.Store(time.Now().UnixNano()) }))
	shadow := quick("shadow", always, safe("never", func() {}))
	shadow.Mode = selfheal.Shadow
	vain := quick("vain", always, safe("no-help", func() {}))
	vain.Playbook.Limits.Breaker.Failures = 1
	return []selfheal.Watch{
		workers, queue, shadow, vain,
		quick("held", always, remediate.Step{Name: "reach-out", Scope: remediate.Shared, Lasting: true, Run: func(context.Context, remediate.Request) error { return nil }}),
		quick("blind", detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, errors.New("no route to host") })),
	}
}

// meddle halts and silences now and then, as people do.
func meddle(ctx context.Context, s *selfheal.Supervisor) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		switch n % 4 {
		case 1:
			_ = s.Halt("ada", "demo")
		case 2:
			_ = s.Resume("ada")
		case 3:
			_, _ = s.Silence(selfheal.Silence{Watch: "queue", By: "ada", Reason: "demo", Until: time.Now().Add(3 * time.Second)})
		}
	}
}
