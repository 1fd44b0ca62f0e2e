package detect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"
)

// PhiOptions is for [PhiAccrual]. The defaults are those of Akka's detector.
type PhiOptions struct {
	// Threshold is the suspicion above which the peer is found. 0 means 8, a
	// chance of one in 10^8 that a beat is merely late, if gaps keep to their
	// distribution.
	Threshold float64
	// MinDeviation is the least deviation assumed of the gaps, so that a very
	// regular peer is not accused for one hiccup. 0 means 100 ms.
	MinDeviation time.Duration
	// FirstGap is the guess that stands in for gaps before any was seen, with a
	// deviation of a quarter. 0 means 1 s.
	FirstGap time.Duration
	// Pause is how long beats may stay away without any suspicion, such as for
	// a collection of garbage or a rolling restart. 0 means none.
	Pause time.Duration
	// Gaps is how many of the last gaps are remembered, 8 bytes each. 0 means
	// 1,000.
	Gaps int
}

// Phi suspects a peer whose beats stay away longer than they used to.
// [PhiAccrual] makes it. All methods are safe for concurrent use.
type Phi struct {
	o       PhiOptions
	problem error
	origin  time.Time

	mu      sync.Mutex
	started bool // by a beat or by the first look
	beaten  bool
	last    time.Duration
	gaps    gaps
}

// PhiAccrual returns a detector that learns how far apart beats usually are and
// suspects silence the more the longer it lasts. Use it where no fixed budget
// fits, and [Heartbeat] where one does.
//
// The suspicion is phi = -log10(1 - F(t)), with t the time since the last beat
// and F the normal distribution with mean and deviation of the last gaps
// (Hayashibara et al., The φ accrual failure detector, 2004). F is the logistic
// approximation that Akka uses, so values agree with Akka's and not with an
// exact normal distribution: with mean 1000 and deviation 100, t = 1700 gives
// 15.4 instead of 11.9.
//
// A gap that was long enough to be judged a failure is not learned; else a dying
// peer would teach the detector patience. Before the first beat the silence
// counts from the first look. Time is monotonic.
//
// The finding has Key "", Value phi, Limit the threshold, Unit "phi" and a
// summary such as "no beat for 2.5s, usually every 1s: phi 44.8 is above 8".
func PhiAccrual(o PhiOptions) *Phi {
	p := &Phi{problem: o.problem(), origin: time.Now()}
	if o.Threshold == 0 {
		o.Threshold = 8
	}
	if o.MinDeviation == 0 {
		o.MinDeviation = 100 * time.Millisecond
	}
	if o.FirstGap == 0 {
		o.FirstGap = time.Second
	}
	if o.Gaps == 0 {
		o.Gaps = 1000
	}
	p.o = o
	if p.problem != nil {
		return p
	}
	p.gaps.most = o.Gaps
	first, deviation := o.FirstGap.Seconds(), o.FirstGap.Seconds()/4
	p.gaps.add(first - deviation)
	p.gaps.add(first + deviation)
	return p
}

func (o *PhiOptions) problem() error {
	var errs []error
	if !(o.Threshold >= 0) || math.IsInf(o.Threshold, 0) {
		errs = append(errs, fmt.Errorf("detect: the threshold of PhiAccrual is %v: use a positive number", o.Threshold))
	}
	if min(o.MinDeviation, o.FirstGap, o.Pause) < 0 {
		errs = append(errs, errors.New("detect: a duration of PhiAccrual is negative: use 0 for its default"))
	}
	if o.Gaps < 0 || o.Gaps == 1 {
		errs = append(errs, fmt.Errorf("detect: PhiAccrual remembers %d gaps: use 2 or more", o.Gaps))
	}
	return errors.Join(errs...)
}

// Validate reports negative options and a threshold that is not finite.
func (p *Phi) Validate() error { return p.problem }

// Beat says that the peer is alive. It allocates nothing once as many gaps were
// seen as are remembered.
func (p *Phi) Beat() {
	if p.problem != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.origin)
	if p.beaten && p.phi(now) <= p.o.Threshold {
		p.gaps.add((now - p.last).Seconds())
	}
	p.started, p.beaten, p.last = true, true, now
}

// Phi returns the suspicion now: 0 before the first beat and the first look,
// else how unlikely it is, as a negative power of ten, that a beat still comes.
func (p *Phi) Phi() float64 {
	if p.problem != nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phi(time.Since(p.origin))
}

// phi is called with the lock held.
func (p *Phi) phi(now time.Duration) float64 {
	if !p.started {
		return 0
	}
	mean, deviation := p.gaps.stats()
	return phi((now - p.last).Seconds(), mean+p.o.Pause.Seconds(), max(deviation, p.o.MinDeviation.Seconds()))
}

// phi is -log10(1/(1+e^z)) with z the logistic approximation of the normal
// distribution at t. Written so, neither a very early nor a very late t leaves
// the range of a float64.
func phi(t, mean, deviation float64) float64 {
	y := (t - mean) / deviation
	z := y * (1.5976 + 0.070566*y*y)
	if z > 0 {
		return (z + math.Log1p(math.Exp(-z))) / math.Ln10
	}
	return math.Log1p(math.Exp(z)) / math.Ln10
}

// Detect compares the suspicion with the threshold.
func (p *Phi) Detect(context.Context) ([]Finding, error) {
	if p.problem != nil {
		return nil, p.problem
	}
	phi, silence, mean := p.look()
	if phi <= p.o.Threshold {
		return nil, nil
	}
	b := append(make([]byte, 0, 96), "no beat for "...)
	b = append(b, shortDuration(silence, 0)...)
	b = append(append(b, ", usually every "...), shortDuration(mean.Round(time.Millisecond), 0)...)
	if phi < 100 {
		b = append(appendTenths(append(b, ": phi "...), phi, p.o.Threshold), " is above "...)
	} else { // the number grows with the cube of the silence and tells nothing more
		b = append(b, ": phi is far above "...)
	}
	b = appendFloat(b, p.o.Threshold, p.o.Threshold)
	return []Finding{{
		Summary:  string(b),
		Value:    phi,
		Limit:    p.o.Threshold,
		Unit:     "phi",
		Evidence: []slog.Attr{slog.Duration("silence", silence), slog.Duration("mean_gap", mean)},
	}}, nil
}

func (p *Phi) look() (phi float64, silence, mean time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Since(p.origin)
	if !p.started {
		p.started, p.last = true, now
	}
	seconds, _ := p.gaps.stats()
	return p.phi(now), now - p.last, time.Duration(seconds * float64(time.Second))
}

// gaps are the last gaps between beats, in seconds, with their sums. The ring
// grows to its size as gaps come in.
type gaps struct {
	most int
	ring []float64
	next int
	// Sums of the gaps less the first one: gaps resemble each other, and
	// squares of small differences keep the digits that squares of gaps lose.
	base, sum, squares float64
}

func (g *gaps) add(gap float64) {
	switch {
	case len(g.ring) == 0:
		g.base = gap
		g.ring = append(g.ring, gap)
	case len(g.ring) < g.most:
		g.ring = append(g.ring, gap)
	default:
		old := g.ring[g.next] - g.base
		g.sum -= old
		g.squares -= old * old
		g.ring[g.next] = gap
	}
	g.next = (g.next + 1) % g.most
	d := gap - g.base
	g.sum += d
	g.squares += d * d
	if g.next == 0 {
		g.settle()
	}
}

// settle adds everything up again, once a round, so that rounding errors do not
// pile up over the life of a process.
func (g *gaps) settle() {
	g.base, g.sum, g.squares = g.ring[0], 0, 0
	for _, gap := range g.ring {
		d := gap - g.base
		g.sum += d
		g.squares += d * d
	}
}

// stats returns mean and (population) deviation.
func (g *gaps) stats() (mean, deviation float64) {
	n := float64(len(g.ring))
	shift := g.sum / n
	return g.base + shift, math.Sqrt(max(0, g.squares/n-shift*shift))
}
