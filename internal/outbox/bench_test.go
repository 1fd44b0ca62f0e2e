package outbox

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
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
