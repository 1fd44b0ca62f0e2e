package host

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// Version is that of the module.
const Version = "v0.1.0"

// Module returns the watches of this package. Those of certificates and DNS are left
// out where the options name none.
//
// It looks once, when it is called, at what the kernel tells. What is not there, since
// the kernel or the control group has no such thing, is kept as a watch that is blind
// with that reason for the life of the module: Status shows it and the log says it
// once, but nobody is called about a feature that the host does not have. What is
// there and cannot be read is blind as any other watch, and people are called.
func Module(o Options) selfheal.Module {
	e := o.effective()
	m := selfheal.Module{Name: "host", Version: Version}
	add := func(ws ...selfheal.Watch) { m.Watches = append(m.Watches, ws...) }
	// The causes come before the symptoms.
	add(Clock(o), here(Descriptors(o)), here(MemoryPressure(o)), here(OOM(o)), here(MemoryHigh(o)), here(CPUThrottling(o)), e.stalls())
	if len(e.Certificates) > 0 {
		stale, expiry := CertificateStale(o), CertificateExpiry(o)
		expiry.After = []string{"clock"}
		if d := stale.Detector.(*staleness); d.invalid != nil || len(d.all) > 0 {
			add(stale)
		}
		add(expiry)
	}
	if len(e.DNS.Names) > 0 {
		add(DNS(o))
	}
	return m
}

// here is w where the kernel has what it reads; else w is blind for good.
func here(w selfheal.Watch) selfheal.Watch {
	if err := absent(w.Detector); err != nil {
		w.Detector = nothing{err}
		w.Escalate = escalate.To(escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil }))
	}
	return w
}

// nothing is the detector of a watch for which the kernel has nothing to read. It does
// not look again: whoever would be called about a finding is not called about this
// blindness, so that it must not begin to see.
type nothing struct{ why error }

func (n nothing) Detect(ctx context.Context) ([]detect.Finding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, n.why
}

// absent looks once, and says that what a detector reads is not there.
func absent(d detect.Detector) error {
	if _, err := d.Detect(context.Background()); missing(err) {
		return err
	}
	return nil
}

// Descriptors watches how many descriptors are open against the limit of the process
// (LX-3), and against that of the whole host under the key "host file table". The
// ladder closes idle connections, lets listeners take fewer, and ends with a recycle.
func Descriptors(o Options) selfheal.Watch {
	o = o.effective()
	steps := []remediate.Step{CloseIdle(o.Descriptors.CloseIdle)}
	if a := o.Descriptors.Accepts; a != nil {
		s := a.Step()
		s.Run = onlyAcute(s.Run)
		steps = append(steps, s)
	}
	steps = o.appendRecycle(steps, func() error { return nil })
	steps = callFor(map[string]string{hostTable: "the file table of the whole host fills, which is for its owner to mend"}, steps)
	return selfheal.Watch{
		Name: "descriptors", Detector: newDescriptors(o), Every: o.Every, KeepFor: 2 * time.Minute,
		Playbook: playbook("descriptors", steps),
	}
}

// MemoryPressure watches how long tasks wait for memory (LX-4), in the control group
// of the process where it is of version 2, else on the host. The ladder gives up
// caches, sheds, pauses batch work, and ends with a recycle where this process is
// near the limit of its own control group.
func MemoryPressure(o Options) selfheal.Watch {
	o = o.effective()
	d := newMemoryPressure(o)
	steps := o.appendDrop(nil, settleFor)
	steps = appendTurn(steps, "shed", o.Shed, settleFor)
	steps = appendTurn(steps, "pause-batch", o.PauseBatch, settleFor)
	steps = o.appendRecycle(steps, d.ours)
	return selfheal.Watch{
		Name: "memory-pressure", Detector: d, Every: o.Every, KeepFor: 5 * time.Minute,
		Playbook: playbook("memory-pressure", steps),
	}
}

// OOM watches for kills for want of memory (LX-5): of other processes in the control
// group, and of the run before this one where there is a folder to note it. The
// ladder gives up caches and runs reduced for a day; a second kill within the hour
// calls people at once.
func OOM(o Options) selfheal.Watch {
	o = o.effective()
	d := newOOM(o)
	shown := o.OOM.ShowFor + settleFor      // by then it shows whether another came
	steps := o.appendDrop(nil, time.Second) // what that brings shows in no second, and reducing must not wait
	steps = appendTurn(steps, "reduce", o.Reduce, shown)
	if o.Reduce == nil && len(steps) > 0 {
		steps[0].Settle = shown
	}
	steps = callFor(map[string]string{again: "the second kill within " + span(o.OOM.AgainWithin) + ": what was done does not suffice"}, steps)
	keep := 5 * time.Minute
	if o.Reduce != nil {
		keep = max(o.OOM.ReducedFor, 0)
	}
	return selfheal.Watch{
		Name: "oom", Detector: d, Every: o.Every, KeepFor: keep,
		Playbook: playbook("oom", steps), Evidence: []escalate.Gatherer{heaps(d)},
	}
}

// MemoryHigh watches whether the kernel slows the control group down at its
// memory.high (LX-5; version 2 only). The ladder gives up caches.
func MemoryHigh(o Options) selfheal.Watch {
	o = o.effective()
	return selfheal.Watch{
		Name: "memory-high", Detector: newHigh(o), Every: o.Every, KeepFor: 5 * time.Minute,
		Playbook: playbook("memory-high", o.appendDrop(nil, settleFor)),
	}
}

// CPUThrottling watches in how many of its periods the CPU quota of the control group
// is used up (LX-6). The ladder paces the service's own jobs.
func CPUThrottling(o Options) selfheal.Watch {
	o = o.effective()
	return selfheal.Watch{
		Name: "cpu-throttling", Detector: newThrottling(o), Every: o.Every, For: o.CPU.For, KeepFor: 5 * time.Minute,
		Playbook: playbook("cpu-throttling", appendTurn(nil, "pace", o.Pace, 2*o.CPU.Window)),
	}
}

// Stalls watches how long tasks wait for processors and for I/O (LX-6), under the
// keys "cpu" and "io". The ladder paces the service's own jobs.
func Stalls(o Options) selfheal.Watch { return o.stallsOf("cpu", "io") }

func (o Options) stallsOf(resources ...string) selfheal.Watch {
	o = o.effective()
	return selfheal.Watch{
		Name: "stalls", Detector: newStalls(o, resources...), Every: o.Every, For: o.CPU.For, KeepFor: 5 * time.Minute,
		Playbook: playbook("stalls", appendTurn(nil, "pace", o.Pace, 2*o.CPU.Window)),
	}
}

// stalls watches those of the two resources of which the kernel tells.
func (o Options) stalls() selfheal.Watch {
	var there []string
	for _, r := range []string{"cpu", "io"} {
		if absent(o.stallsOf(r).Detector) == nil {
			there = append(there, r)
		}
	}
	if len(there) == 0 {
		return here(Stalls(o))
	}
	return o.stallsOf(there...)
}

// Clock watches the wall clock for jumps, for being off, and for being left alone by
// what synchronised it (LX-7). It has no ladder: nothing of ours may set the clock.
// [Trust] is how the service is told.
func Clock(o Options) selfheal.Watch {
	o = o.effective()
	return selfheal.Watch{Name: "clock", Detector: newClock(o), Every: o.Every, KeepFor: time.Minute}
}

// CertificateStale watches whether what is served is what is in the file (LX-8). The
// ladder reloads it.
func CertificateStale(o Options) selfheal.Watch {
	o = o.effective()
	return selfheal.Watch{
		Name: "certificate-stale", Detector: newStale(o), Every: time.Minute, Timeout: certificatesTimeout(o), For: time.Minute,
		Playbook: playbook("certificate-stale", []remediate.Step{ReloadCertificate(o.Certificates...)}),
	}
}

// CertificateExpiry watches how long certificates are still good (LX-8): one key for
// each certificate and level. The ladder asks for a renewal; what that brings is
// taken by the ladder of [CertificateStale].
func CertificateExpiry(o Options) selfheal.Watch {
	o = o.effective()
	var steps []remediate.Step
	for _, c := range o.Certificates {
		if c.Renew != nil {
			steps = []remediate.Step{RenewCertificate(o.Certificates...)}
		}
	}
	return selfheal.Watch{
		Name: "certificate-expiry", Detector: newExpiry(o), Every: 10 * time.Minute, Timeout: certificatesTimeout(o), For: time.Minute,
		Playbook: playbook("certificate-expiry", steps),
	}
}

// certificatesTimeout leaves room for every one that does not answer.
func certificatesTimeout(o Options) time.Duration {
	return 10*time.Second + time.Duration(len(o.Certificates))*handshakeTimeout
}

// DNS watches whether names resolve (LX-9), one key a name, and "several names" where
// half of them do not. The ladder serves last good answers, asks the second server,
// and makes connections anew.
func DNS(o Options) selfheal.Watch {
	o = o.effective()
	var steps []remediate.Step
	if r := o.DNS.Resolver; r != nil {
		if r.o.MaxAge != -1 {
			steps = append(steps, r.ServeLastGood())
		}
		if r.o.Second != nil {
			steps = append(steps, r.UseSecond())
		}
	}
	if again := o.DNS.Reconnect; again != nil {
		steps = append(steps, remediate.Step{
			Name: "reconnect", Lasting: true, Timeout: 5 * time.Minute,
			Run: onlyAcute(func(ctx context.Context, _ remediate.Request) error { return again(ctx) }),
		})
	}
	steps = callFor(map[string]string{
		severalKey: "several names fail at once: the network or the servers need a person",
		coveredKey: "a fallback covers up for the first server, which needs a person",
	}, steps)
	for i := range steps {
		steps[i].Settle = 3 * o.DNS.Every // two looks must find it well
	}
	timeout := time.Duration((len(o.DNS.Names)+lookupsAtOnce-1)/lookupsAtOnce)*max(o.DNS.Patience, 0) + 10*time.Second
	return selfheal.Watch{
		Name: "dns", Detector: newDNS(o), Every: max(o.DNS.Every, 0), Timeout: timeout, KeepFor: 5 * time.Minute,
		Playbook: playbook("dns", steps),
	}
}

// heaps are the profiles that were kept while memory was short, the newest first: those
// of the run before, after a kill.
func heaps(d *oom) escalate.Gatherer {
	return escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) {
		if d.notes == nil {
			return nil, nil
		}
		var kept []escalate.Evidence
		for _, path := range slices.Backward(d.notes.heaps()) {
			info, err := os.Stat(path)
			if err != nil {
				continue // it was replaced by a newer one
			}
			kept = append(kept, escalate.Evidence{
				Name: "heap profile", Type: "application/vnd.google.protobuf+gzip", Ref: path, Bytes: info.Size(), At: info.ModTime(),
			})
		}
		return kept, nil
	})
}

func playbook(name string, steps []remediate.Step) remediate.Playbook {
	return remediate.Playbook{Name: "host-" + name, Steps: steps}
}
