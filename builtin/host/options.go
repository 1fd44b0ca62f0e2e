package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Options are for [Module] and for the single watches. The zero value is ready for
// production. (S) marks the suggested start values of the catalogue of playbooks, to
// be tuned in Shadow mode.
//
// The hooks are what only the service knows how to do. A rung whose hook is nil is
// left out of its ladder. Those with a bool are called with true to begin and with
// false to end; both must do no harm when they are called twice.
type Options struct {
	// Root is where the proc and sys file systems are found, so that recorded trees
	// can be read. "" means "/".
	Root string
	// Every is the interval of the watches that read counters of the kernel. 0 means
	// 2 s. Certificates and DNS have intervals of their own.
	Every time.Duration

	Descriptors DescriptorOptions
	Memory      MemoryOptions
	OOM         OOMOptions
	CPU         CPUOptions
	Clock       ClockOptions
	// Certificates are what is watched for expiry. None: those watches are left out.
	Certificates []Certificate
	// ExpiryLevels are the times before the end of a certificate at which people are
	// told, falling. nil means 29, 14, 7 and 1 days: the catalogue's 30, 14, 7, 1 (S)
	// but for the first, which is a day later than certbot and cert-manager renew
	// certificates of 90 days, so that this is no finding. For a certificate that
	// lives less than 90 days each is shortened in proportion.
	ExpiryLevels []time.Duration
	DNS          DNSOptions

	// DropCaches gives up what the service can do without.
	DropCaches func(ctx context.Context) error
	// Shed refuses a part of the load.
	Shed func(ctx context.Context, on bool) error
	// PauseBatch stops work that can wait.
	PauseBatch func(ctx context.Context, on bool) error
	// Pace slows down the service's own I/O and jobs: compaction, backups.
	Pace func(ctx context.Context, on bool) error
	// Reduce makes the service run with less concurrency and smaller caches.
	Reduce func(ctx context.Context, on bool) error
	// RecycleCode is the exit code with which the last rung against exhausted
	// descriptors, or memory that stays short, asks for the process to be replaced. 0
	// means 75, EX_TEMPFAIL of sysexits.h; -1 leaves those rungs out.
	RecycleCode int
}

// DescriptorOptions are for [Descriptors].
type DescriptorOptions struct {
	// Levels are shares of the soft limit of open files. 0 means early at 0.8 (S),
	// act at 0.9, clear below 0.7.
	Levels
	// HostAct is the share of the host's whole file table at which people are called.
	// 0 means 0.9; -1 means never. It clears a tenth below.
	HostAct float64
	// CloseIdle closes idle connections of the service's own clients. nil means those
	// of http.DefaultTransport.
	CloseIdle func(ctx context.Context) error
	// Accepts are the listeners that take fewer connections while descriptors are
	// short. nil leaves that rung out.
	Accepts *Accepts
	// Reserve is filled up again whenever descriptors are not short. nil: none.
	Reserve *Reserve
}

// MemoryOptions are for [MemoryPressure].
type MemoryOptions struct {
	// Some is the share of time in which some task waits for memory, at which people
	// are warned. 0 means 0.10 (S). It clears below half of it.
	Some float64
	// Full is the share of time in which all tasks do, at which the ladder is
	// climbed. 0 means 0.05 (S). It clears below half of it.
	Full float64
	// Window is over what time shares are taken. 0 means 10 s, or Every if that is
	// longer; at least 100 ms and Every.
	Window time.Duration
	// Near is the share of the control group's own limit from which on a restart may
	// help, since the memory is ours and not a neighbour's. 0 means 0.8.
	Near float64
}

// OOMOptions are for [OOM] and [MemoryHigh].
type OOMOptions struct {
	// StateDir is a folder of this process alone in which is noted how a run ended;
	// it is made if need be. "" means $STATE_DIRECTORY, which systemd sets; where that
	// is empty too nothing is noted, and a kill of this process itself goes unseen.
	StateDir string
	// ShowFor is how long a kill stays a finding. 0 means 1 min; at least 100 ms.
	ShowFor time.Duration
	// ReducedFor is how long the service runs reduced after a kill. 0 means 24 h; at
	// least 1 s. It ends with the run.
	ReducedFor time.Duration
	// AgainWithin is within what time a second kill calls people at once. 0 means 1 h; at
	// least 100 ms.
	AgainWithin time.Duration
}

// CPUOptions are for [CPUThrottling] and [Stalls].
type CPUOptions struct {
	// Throttled are shares of the periods in which the quota of the control group was
	// used up. 0 means early at 0.25, as in the CPUThrottlingHigh alert of the
	// kubernetes-mixin, act at 0.5 (S), clear below 0.15.
	Throttled Levels
	// CPUStalled are shares of time in which some task waits for a processor. 0 means
	// 0.7, 0.9 and 0.5 (S). A busy batch host may want more.
	CPUStalled Levels
	// IOStalled are shares of time in which some task waits for I/O. 0 means 0.3, 0.5
	// and 0.2 (S).
	IOStalled Levels
	// Window is over what time shares are taken. 0 means 1 min, or Every if that is
	// longer; at least 100 ms and Every.
	Window time.Duration
	// For is how long what is above Act must last. 0 means 5 min.
	For time.Duration
	// EarlyFor is how long what is above Early must last before people are told. 0
	// means 15 min, as in the CPUThrottlingHigh alert, or For if that is longer; at
	// least For.
	EarlyFor time.Duration
}

const defaultRecycleCode = 75

func (o Options) effective() Options {
	fill(&o.Every, 2*time.Second)
	fill(&o.RecycleCode, defaultRecycleCode)
	d := &o.Descriptors
	d.Levels = d.Levels.or(Levels{Early: 0.8, Act: 0.9, Clear: 0.7})
	fill(&d.HostAct, 0.9)
	fill(&o.Memory.Some, 0.10)
	fill(&o.Memory.Full, 0.05)
	fill(&o.Memory.Window, max(10*time.Second, o.Every))
	fill(&o.Memory.Near, 0.8)
	fill(&o.OOM.ShowFor, time.Minute)
	fill(&o.OOM.ReducedFor, 24*time.Hour)
	fill(&o.OOM.AgainWithin, time.Hour)
	c := &o.CPU
	c.Throttled = c.Throttled.or(Levels{Early: 0.25, Act: 0.5, Clear: 0.15})
	c.CPUStalled = c.CPUStalled.or(Levels{Early: 0.7, Act: 0.9, Clear: 0.5})
	c.IOStalled = c.IOStalled.or(Levels{Early: 0.3, Act: 0.5, Clear: 0.2})
	fill(&c.Window, max(time.Minute, o.Every))
	fill(&c.For, 5*time.Minute)
	fill(&c.EarlyFor, max(15*time.Minute, c.For))
	o.Certificates, o.ExpiryLevels = slices.Clone(o.Certificates), slices.Clone(o.ExpiryLevels)
	o.Clock = o.Clock.effective()
	o.DNS = o.DNS.effective()
	return o
}

// mistakes collects what is wrong with effective options.
type mistakes []error

func (m *mistakes) say(format string, args ...any) {
	*m = append(*m, fmt.Errorf("host: "+format, args...))
}

func (m *mistakes) levels(name string, l Levels) {
	if !(l.Clear > 0 && l.Clear <= l.Early && l.Early <= l.Act && l.Act <= 1) {
		m.say("the levels of %s are clear %v, early %v, act %v: use rising shares above 0, at most 1", name, l.Clear, l.Early, l.Act)
	}
}

func (m *mistakes) share(name string, v float64) {
	if !(v > 0 && v <= 1) {
		m.say("%s is %v: use a share above 0, at most 1, or 0 for the default", name, v)
	}
}

func (m *mistakes) atLeast(name string, d, least time.Duration) {
	if d < least {
		m.say("%s is %v: use %v or more, or 0 for the default", name, d, least)
	}
}

func (m *mistakes) join() error { return errors.Join(*m...) }

// common is what every watch needs.
func (o Options) common() *mistakes {
	m := &mistakes{}
	m.atLeast("Every", o.Every, time.Millisecond)
	if o.RecycleCode < -1 || o.RecycleCode > 255 {
		m.say("RecycleCode is %d: use 1 to 255, 0 for %d, or -1 for no such rung", o.RecycleCode, defaultRecycleCode)
	}
	return m
}

func (o Options) descriptorsProblem() error {
	m := o.common()
	m.levels("descriptors", o.Descriptors.Levels)
	if o.Descriptors.HostAct != -1 {
		m.share("Descriptors.HostAct", o.Descriptors.HostAct)
	}
	return m.join()
}

func (o Options) memoryProblem() error {
	m := o.common()
	m.share("Memory.Some", o.Memory.Some)
	m.share("Memory.Full", o.Memory.Full)
	m.share("Memory.Near", o.Memory.Near)
	m.atLeast("Memory.Window", o.Memory.Window, max(100*time.Millisecond, o.Every))
	return m.join()
}

func (o Options) oomProblem() error {
	m := o.common()
	m.atLeast("OOM.ShowFor", o.OOM.ShowFor, 100*time.Millisecond)
	m.atLeast("OOM.ReducedFor", o.OOM.ReducedFor, time.Second)
	m.atLeast("OOM.AgainWithin", o.OOM.AgainWithin, 100*time.Millisecond)
	return m.join()
}

type namedLevels struct {
	name string
	Levels
}

func (o Options) cpuProblem(levels ...namedLevels) error {
	m := o.common()
	for _, l := range levels {
		m.levels(l.name, l.Levels)
	}
	m.atLeast("CPU.Window", o.CPU.Window, max(100*time.Millisecond, o.Every))
	m.atLeast("CPU.For", o.CPU.For, 0)
	m.atLeast("CPU.EarlyFor", o.CPU.EarlyFor, o.CPU.For)
	return m.join()
}
