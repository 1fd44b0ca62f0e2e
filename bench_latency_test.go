//go:build unix

package selfheal_test

import (
	"context"
	"runtime/metrics"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// unlimited is for benchmarks that cause more incidents than rails allow.
var unlimited = remediate.Limits{Cooldown: -1, Breaker: remediate.Breaker{Failures: -1}, Heals: remediate.Heals{N: -1}}

// percentiles reports p50 and p99 in the given unit.
func percentiles(b *testing.B, ds []time.Duration, unit time.Duration, name string) {
	slices.Sort(ds)
	at := func(p float64) float64 { return float64(ds[min(int(p*float64(len(ds))), len(ds)-1)]) / float64(unit) }
	b.ReportMetric(at(0.50), name+"-p50")
	b.ReportMetric(at(0.99), name+"-p99")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPushToAction measures from Mailbox.Report to the first line of Run,
// alone, beside 10,000 other watches, and with a journal, which the intent to act
// must reach first.
func BenchmarkPushToAction(b *testing.B) {
	for _, c := range []struct {
		name    string
		others  int
		durable bool
	}{{"others=0", 0, false}, {"others=10000", 10_000, false}, {"journal", 0, true}} {
		b.Run(c.name, func(b *testing.B) {
			box := detect.NewMailbox()
			acted := make(chan time.Time, 1)
			o := selfheal.Options{Escalate: nobody, Logger: quiet}
			if c.durable {
				j, err := selfheal.OpenJournal(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				defer j.Close()
				o.Journal, o.Escalate = j, escalate.To(escalate.Named("nobody", nobody.Levels[0].To[0]))
			}
			others := c.others
			s := selfheal.New(o)
			s.Watch(selfheal.Watch{
				Name: "pushed", Detector: box, KeepFor: -1,
				Playbook: remediate.Playbook{Limits: unlimited, Steps: []remediate.Step{{
					Name: "fix", Risk: remediate.Safe, Settle: time.Millisecond,
					Run: func(_ context.Context, r remediate.Request) error {
						acted <- time.Now()
						box.Clear(r.Finding.Key)
						return nil
					},
				}}},
			})
			for i := range others {
				s.Watch(selfheal.Watch{Name: "other-" + strconv.Itoa(i), Detector: detect.Above(func(context.Context) (int, error) { return 1, nil }, 5)})
			}
			running(b, s)
			time.Sleep(1500 * time.Millisecond)
			var took []time.Duration
			for b.Loop() {
				for range 500 {
					time.Sleep(2 * time.Millisecond)
					start := time.Now()
					box.Report(detect.Finding{Key: strconv.Itoa(len(took)), Summary: "pushed"})
					took = append(took, (<-acted).Sub(start))
				}
			}
			percentiles(b, took, time.Microsecond, "us")
		})
	}
}

// BenchmarkFaultToFix measures from a fault to the start of its fix with
// nothing tuned: a look a second, and a second look before anything above Safe.
func BenchmarkFaultToFix(b *testing.B) {
	const faults = 200
	s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet, MaxConcurrent: -1})
	var broken [faults]atomic.Int64 // when, in ns since the start
	start := time.Now()
	took := make(chan time.Duration, faults)
	for i := range faults {
		s.Watch(selfheal.Watch{
			Name: "fault-" + strconv.Itoa(i),
			Detector: detect.Above(func(context.Context) (int64, error) {
				return min(broken[i].Load(), 1), nil
			}, 0),
			Playbook: remediate.Playbook{Limits: unlimited, Steps: []remediate.Step{{
				Name: "fix", Risk: remediate.Safe,
				Run: func(context.Context, remediate.Request) error {
					took <- time.Since(start) - time.Duration(broken[i].Load())
					broken[i].Store(0)
					return nil
				},
			}}},
		})
	}
	running(b, s)
	time.Sleep(2 * time.Second)
	var all []time.Duration
	for b.Loop() {
		for i := range faults {
			time.Sleep(7 * time.Millisecond)
			broken[i].Store(int64(time.Since(start)))
		}
		for range faults {
			all = append(all, <-took)
		}
	}
	percentiles(b, all, time.Millisecond, "ms")
}

// BenchmarkStorm pushes 1,000,000 findings on 100,000 keys as fast as it can,
// and prints what became of them, of memory, and of the other watches.
func BenchmarkStorm(b *testing.B) {
	for b.Loop() {
		box := detect.NewMailbox()
		s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet})
		s.Watch(selfheal.Watch{Name: "stormy", Detector: box, Playbook: step(func() {})})
		var gaps []time.Duration
		last := time.Now()
		s.Watch(selfheal.Watch{Name: "other", Every: 20 * time.Millisecond, Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			now := time.Now()
			gaps = append(gaps, now.Sub(last))
			last = now
			return nil, nil
		})})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(200 * time.Millisecond)
		before := heap()
		stop := make(chan struct{})
		peak := make(chan uint64)
		go func() {
			var high uint64
			sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
			for {
				metrics.Read(sample)
				high = max(high, sample[0].Value.Uint64())
				select {
				case <-stop:
					peak <- high
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}()
		keys := make([]string, 100_000)
		for i := range keys {
			keys[i] = strconv.Itoa(i)
		}
		start := time.Now()
		for i := range 1_000_000 {
			box.Report(detect.Finding{Key: keys[i%len(keys)], Summary: "stormy", Value: float64(i)})
		}
		b.ReportMetric(time.Since(start).Seconds()*1e3, "push-ms")
		time.Sleep(time.Second)
		close(stop)
		b.ReportMetric(float64(max(<-peak, before)-before)/(1<<20), "MiB-high")
		b.ReportMetric(float64(box.Dropped()), "dropped")
		st := s.Status()
		b.ReportMetric(st.Late.Seconds()*1e3, "late-ms-max")
		for _, w := range st.Watches {
			if w.Name == "stormy" {
				b.ReportMetric(float64(len(w.Incidents)), "incidents")
			}
		}
		cancel()
		<-done
		slices.Sort(gaps)
		b.ReportMetric(gaps[len(gaps)-1].Seconds()*1e3, "other-gap-ms-max")
	}
}
