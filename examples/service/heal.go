package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/dependency"
	"github.com/selfheal-go/selfheal/builtin/disk"
	"github.com/selfheal-go/selfheal/builtin/goruntime"
	"github.com/selfheal-go/selfheal/builtin/host"
	"github.com/selfheal-go/selfheal/builtin/queue"
	"github.com/selfheal-go/selfheal/builtin/sqlpool"
	"github.com/selfheal-go/selfheal/builtin/worker"
	"github.com/selfheal-go/selfheal/escalate"
)

// Heal runs a supervisor with every pack until ctx ends.
func (s *service) Heal(ctx context.Context) error {
	s.heal = selfheal.New(selfheal.Options{Service: "service", Escalate: escalate.To(escalate.Log(slog.Default()))})
	s.heal.Install(
		goruntime.Module(goruntime.Options{Caches: &s.caches}),
		host.Module(host.Options{DNS: host.DNSOptions{Names: []string{"localhost"}}}),
		disk.Module(disk.Options{Clean: disk.JanitorOptions{Dirs: []string{s.scratch}, MinAge: time.Hour}}),
		queue.Module(queue.Options{Queues: []queue.Queue{{Name: "jobs", Meter: s.meter, Cap: cap(s.jobs), Pool: s.pool, Gate: s.gate}}}),
		worker.Module(worker.Options{Groups: []*worker.Group{s.workers}}),
		sqlpool.Module(sqlpool.Options{DB: s.db, Tracker: s.tracker}),
		dependency.Module(dependency.Options{Targets: []dependency.Target{{Name: "payments", URL: s.payments + "/healthz", Client: s.client}}}),
	)
	return s.heal.Run(ctx)
}
