package goruntime

import (
	"errors"
	"fmt"
	"time"
)

// LeakOptions are for [NewLeakDetector]. The zero value is ready for production.
type LeakOptions struct {
	// Window is the shortest time whose least count is one point of the lower
	// envelope. A suspicion rests on 15 points and the one after, so a fast leak is
	// suspected after 16 windows; slower ones through windows 4, 16, 64 and 256 times
	// as long. A rise to a steady state within 14 windows is never suspected. 0 means
	// 3 s: 48 s for the fastest, 3.4 h for the slowest. At least 1 ms.
	Window time.Duration
	// MinGrowth is by how many goroutines the lower envelope must have risen to be
	// suspected, and the number in select {}, which are mostly meant to stay, to be
	// proven. 0 means 20. At least 4.
	MinGrowth int
	// MinLeaked is how many goroutines of one site the runtime must prove leaked
	// before they are reported. 0 means 1: the proof has no known false alarm.
	MinLeaked int
	// Critical is how many goroutines of one site make a finding Critical. 0 means
	// 10,000, at which LeakProf at Uber calls one place leaking (Saioc et al.,
	// "Unveiling and Vanquishing Goroutine Leaks", 2024). -1 means never.
	Critical int
	// ProofEvery is the longest time between two runs of the runtime's leak profile
	// while nothing points to a leak; each is a cycle of the garbage collector. A
	// young detector looks more often, and a rising count asks for it at once. 0
	// means 5 min, -1 turns the proof off.
	ProofEvery time.Duration
	// MaxGoroutines is the count above which goroutines are neither grouped nor
	// proven leaked, because the cost grows with it. Above it a rise is reported
	// without a site, under Key "". 0 means 100,000 (some 100 ms of CPU for a
	// look at the groups, 40 ms stopped for a proof), -1 means no bound.
	MaxGoroutines int
	// StopShare is the share of time for which the detector may stop the world, by
	// its own measurement. 0 means 0.001. Above 0, at most 0.1.
	StopShare float64
	// CPUShare is the share of one core that looking at goroutines may use; the
	// cheap metrics of each look are not counted. 0 means 0.004, so that with all
	// else in this package it stays below 0.5 %. Above 0, at most 1.
	CPUShare float64
	// Ignore are prefixes of function names, as in "example.com/app/pool.": sites
	// whose function begins so are never reported.
	Ignore []string
}

func (o LeakOptions) effective() LeakOptions {
	fill(&o.Window, 3*time.Second)
	fill(&o.MinGrowth, 20)
	fill(&o.MinLeaked, 1)
	fill(&o.Critical, 10_000)
	fill(&o.ProofEvery, 5*time.Minute)
	fill(&o.MaxGoroutines, 100_000)
	fill(&o.StopShare, 0.001)
	fill(&o.CPUShare, 0.004)
	return o
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// problem says everything that is wrong with effective options.
func (o LeakOptions) problem() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("goruntime: "+format, args...)) }
	if o.Window < time.Millisecond {
		bad("Window of the leak detector is %v: use 1ms or more, or 0 for 3s", o.Window)
	}
	if o.MinGrowth < 4 {
		bad("MinGrowth of the leak detector is %d: use 4 or more, or 0 for 20", o.MinGrowth)
	}
	if o.MinLeaked < 1 {
		bad("MinLeaked of the leak detector is %d: use 1 or more, or 0 for 1", o.MinLeaked)
	}
	if o.Critical < -1 {
		bad("Critical of the leak detector is %d: use a count, 0 for 10000, or -1 for never", o.Critical)
	}
	if o.ProofEvery < 0 && o.ProofEvery != -1 {
		bad("ProofEvery of the leak detector is %v: use a time, 0 for 5m, or -1 for no proof", o.ProofEvery)
	}
	if o.MaxGoroutines < -1 {
		bad("MaxGoroutines of the leak detector is %d: use a count, 0 for 100000, or -1 for no bound", o.MaxGoroutines)
	}
	if !(o.StopShare > 0 && o.StopShare <= 0.1) {
		bad("StopShare of the leak detector is %v: use a share above 0 and up to 0.1, or 0 for 0.001", o.StopShare)
	}
	if !(o.CPUShare > 0 && o.CPUShare <= 1) {
		bad("CPUShare of the leak detector is %v: use a share above 0 and up to 1, or 0 for 0.004", o.CPUShare)
	}
	for _, p := range o.Ignore {
		if p == "" {
			bad("Ignore of the leak detector has an empty prefix, which would ignore every goroutine: drop it")
		}
	}
	return errors.Join(errs...)
}
