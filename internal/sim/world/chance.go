package world

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"
)

// A Fault is a kind of thing that goes wrong, or that people do at a bad moment.
type Fault int

// The faults.
const (
	Sickness Fault = iota
	SharedCause
	Avalanche // very many keys at once
	PowerCut
	Kill // kill -9
	Stop // SIGSTOP, for a while
	ClockStep
	Deploy // a shutdown in order, and a start
	SlowAction
	HungAction
	FailingAction
	PanickingAction
	LyingAction
	SkippingAction
	HarmfulAction
	BlindDetector
	HungDetector
	SlowDetector
	LyingDetector
	ProviderDown
	ProviderSlow
	ProviderHung
	ProviderBusy // 429
	ProviderRefuses
	DiskFull
	DiskError
	DiskStall
	DiskDamage
	LateLoop
	PersonHalts
	PersonSilences
	PersonAcks
	PersonAnswers
	faults
)

var faultNames = [faults]string{
	"sickness", "shared cause", "avalanche of keys", "power cut", "kill -9", "SIGSTOP", "clock step", "deploy",
	"slow action", "hung action", "failing action", "panicking action", "lying action", "skipping action", "harmful action",
	"blind detector", "hung detector", "slow detector", "lying detector",
	"provider down", "slow provider", "hung provider", "busy provider", "refusing provider",
	"full disk", "disk error", "stalled disk", "damaged disk", "late loop",
	"a person halts", "a person silences", "a person acknowledges", "a person answers",
}

// String is the fault in words.
func (f Fault) String() string { return faultNames[f] }

// Faults returns all kinds.
func Faults() []Fault {
	all := make([]Fault, faults)
	for f := range all {
		all[f] = Fault(f)
	}
	return all
}

// A Strike is one fault of a run: the nth chance of its kind, counted from 1.
type Strike struct {
	Fault Fault
	N     int
}

// chance decides about one kind of fault. Each has a stream of its own, so that
// leaving one kind out does not change what the others do first.
type chance struct {
	*rand.Rand
	n int
}

// stream is a source of chance with a name.
func stream(seed uint64, name string, n ...int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	for _, i := range n {
		h.Write([]byte("/" + strconv.Itoa(i)))
	}
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// strikes decides whether a fault comes now. scale 1 is the pace of the run.
func (w *World) strikes(f Fault, p float64) bool {
	if w.healed || w.cfg.Off[f] {
		return false
	}
	c := &w.chances[f]
	if c.Float64() >= p*w.pace[f] {
		return false
	}
	c.n++
	if w.cfg.Skip[Strike{f, c.n}] {
		return false
	}
	w.fired = append(w.fired, Strike{f, c.n})
	return true
}

// among is a number from [0, n) for a fault.
func (w *World) among(f Fault, n int) int { return w.chances[f].IntN(n) }

// seldom is the second of two durations once in a while.
func (w *World) seldom(f Fault, often, once time.Duration) time.Duration {
	if w.among(f, 6) == 0 {
		return once
	}
	return often
}

// span is a duration between two, short ones more often.
func (w *World) span(f Fault, from, to time.Duration) time.Duration {
	x := w.chances[f].Float64()
	return from + time.Duration(float64(to-from)*x*x)
}
