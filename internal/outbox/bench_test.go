package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

func TestNoChangeAllocatesNothing(t *testing.T) {
	m, now := busy(100)
	out := make([]Effect, 0, 8)
	allocs := testing.AllocsPerRun(100, func() { out = m.Step(now, Tick{}, out[:0]) })
	require.Zero(t, allocs)
}

// busy is a machine with n open keys, told and waiting for their second level.
func busy(n int) (*Machine, time.Duration) {
	m := New(Options{MaxEntries: n})
	for i := range n {
		k := note(escalate.Trigger)
		k.DedupKey = fmt.Sprint("k", i)
		for _, e := range m.Step(0, Escalate{Notification: k, Plan: levels(0, time.Hour)}, nil) {
			if s, ok := e.(Send); ok {
				m.Step(0, Sent{ID: s.ID, Target: s.Target}, nil)
			}
		}
	}
	return m, time.Second
}

func BenchmarkStepNoChange(b *testing.B) {
	m, now := busy(10_000)
	var out []Effect
	b.ReportAllocs()
	for b.Loop() {
		out = m.Step(now, Tick{}, out[:0])
	}
}

// BenchmarkStepIncident is one incident from its trigger to its forgetting:
// four inputs beside 10,000 open ones.
func BenchmarkStepIncident(b *testing.B) {
	m, now := busy(10_000)
	m.opt.MaxEntries = 20_000
	esc, p := note(escalate.Trigger), levels(0, time.Hour)
	out := make([]Effect, 0, 8)
	b.ReportAllocs()
	for b.Loop() {
		out = m.Step(now, Escalate{Notification: esc, Plan: p}, out[:0])
		out = m.Step(now, Sent{ID: out[1].(Send).ID, Target: "a"}, out[:0])
		out = m.Step(now, resolve, out[:0])
		out = m.Step(now, Sent{ID: out[1].(Send).ID, Target: "a"}, out[:0])
	}
	if m.Owed() > 0 {
		b.Fatal(m.Owed())
	}
}

// BenchmarkOutbox is one incident through a driver with a store that keeps
// nothing: told to one target, delivered, resolved and forgotten, beside 10,000
// open ones. It reports what an open entry takes in memory and in the store.
func BenchmarkOutbox(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const open = 10_000
	over := make(chan struct{}, 1)
	d := NewDriver(DriverOptions{
		Machine: Options{IDPrefix: "b-", MaxEntries: 2 * open, Breaker: 5},
		Store:   nowhere{},
		Deliver: func(_ context.Context, _ string, n escalate.Notification) error {
			if n.Kind == escalate.Resolve || n.Incident.Watch == "last" {
				over <- struct{}{}
			}
			return nil
		},
	})
	for i := range open {
		n := usual(fmt.Sprint("open-", i))
		if i == open-1 {
			n.Incident.Watch = "last"
		}
		d.Input(Escalate{Notification: n, Plan: levels(0, time.Hour)})
	}
	<-over
	runtime.GC()
	runtime.ReadMemStats(&after)
	stored := 0
	records := d.Records()
	for _, r := range records[:100] {
		text, err := json.Marshal(r)
		if err != nil {
			b.Fatal(err)
		}
		stored += len(text)
	}
	p := levels(0, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		d.Input(Escalate{Notification: usual("k"), Plan: p})
		d.Input(Resolve{DedupKey: "k"})
		<-over
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/open, "heap-B/entry")
	b.ReportMetric(float64(stored)/100, "stored-B/entry")
	runtime.KeepAlive(records)
}

// usual is a notification of the usual size.
func usual(key string) escalate.Notification {
	return escalate.Notification{DedupKey: key, At: time.Unix(1000, 0), Incident: escalate.Incident{
		ID: key, Watch: "orders/queue-depth", Service: "orders", Opened: time.Unix(1000, 0), State: escalate.Watching, Reason: escalate.Exhausted,
		Finding: detect.Finding{
			Key: key, Severity: detect.Critical, Summary: "9000 jobs is above 5000", Value: 9000, Limit: 5000, Unit: "jobs",
			Labels: map[string]string{"region": "eu", "queue": "orders"},
		},
		Attempts: []remediate.Attempt{{Step: "scale-workers", Outcome: remediate.NoEffect, Started: time.Unix(900, 0), Ended: time.Unix(950, 0)}},
		Runbook:  "https://runbooks.example.com/queue-depth",
	}}
}

type nowhere struct{}

func (nowhere) Append(_ []Record, done func(error)) { done(nil) }
