package world

import (
	"errors"
	"time"
)

// provider is where notices go.
type provider struct {
	w       *World
	name    string
	down    time.Duration // until then
	slow    time.Duration
	busy    time.Duration
	lastBad time.Duration // when it last did not take a call, or took long
}

// response is how one call of a provider goes.
type response struct {
	takes   time.Duration
	arrives bool
	err     error
	hangs   bool
	refused bool
	after   time.Duration
}

func (p *provider) call() response {
	w := p.w
	r := response{takes: 20*time.Millisecond + time.Duration(w.noise.Int64N(int64(400*time.Millisecond))), arrives: true}
	switch {
	case p.down > w.now:
		r.arrives, r.err = false, errors.New("no connection")
	case p.busy > w.now:
		r.arrives, r.err, r.after = false, errors.New("too many requests"), p.busy-w.now
	case p.slow > w.now:
		r.takes += w.span(ProviderSlow, time.Second, 14*time.Second)
	case w.strikes(ProviderHung, 0.01):
		r.takes, r.hangs = callTimeout+w.span(ProviderHung, 2*time.Second, 10*time.Minute), true
	case w.strikes(ProviderRefuses, 0.02):
		r.arrives, r.err, r.refused = false, errors.New("refused"), true
	default:
		return r
	}
	p.lastBad = w.now + r.takes + r.after
	return r
}

// minute is what may happen to it each minute.
func (p *provider) minute() {
	w := p.w
	if w.healed {
		return
	}
	defer w.after(time.Minute, p.minute)
	trouble := func(f Fault, chance float64, till *time.Duration, most time.Duration) {
		if w.strikes(f, chance) {
			d := w.span(f, time.Second, most)
			w.tell(nil, "%s: %v for %v", p.name, f, d.Round(time.Second))
			*till = w.now + d
		}
	}
	trouble(ProviderDown, 0.01, &p.down, 2*time.Hour)
	trouble(ProviderSlow, 0.01, &p.slow, 20*time.Minute)
	trouble(ProviderBusy, 0.01, &p.busy, 10*time.Minute)
}

// answers is since when it has surely answered calls, on the clock of the world;
// -1 when it does not, or has a rate.
func (p *provider) answers() time.Duration {
	w := p.w
	if p.name == "mail" || p.down > w.now || p.busy > w.now || p.slow > w.now {
		return -1
	}
	// Whoever failed is tried again after a while, and last where others wait.
	return max(p.lastBad, p.down, p.busy, p.slow) + 20*time.Minute
}
