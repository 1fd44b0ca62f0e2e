package host

import (
	"context"
	"net"
	"slices"
	"strings"
	"time"
)

// Lookup resolves a name to addresses. [net.Resolver.LookupHost] is one.
type Lookup func(ctx context.Context, name string) ([]string, error)

// DNSOptions are for [DNS].
type DNSOptions struct {
	// Names are what is looked up: names that the service cannot do without. Write
	// them with a dot at the end to leave the search list out. None: the watch is
	// left out.
	Names []string
	// Resolver is what the service resolves by: then the ladder can make it serve
	// last good answers and ask a second server, and the watch looks through it, as
	// the service does. nil: Lookup is asked and the ladder has only the hook.
	Resolver *Resolver
	// Lookup is asked where there is no Resolver. nil means Go's own resolver, which
	// tells a failing server from a missing name.
	Lookup Lookup
	// Every is the interval. 0 means 15 s.
	Every time.Duration
	// Patience is how long one answer may take. 0 means 2 s; at most 5 s.
	Patience time.Duration
	// Fails is how many of the last Of looks at a name must have failed, the last
	// among them, before it is a finding. 0 means 3 of 5 (S).
	Fails, Of int
	// CoveredFor is how long a fallback may cover up for the first server before
	// people are told. 0 means 10 min.
	CoveredFor time.Duration
	// Reconnect makes connections anew a few at a time, with jitter: those that hold
	// on to an address that is gone. nil: no such rung.
	Reconnect func(ctx context.Context) error
}

func (o DNSOptions) effective() DNSOptions {
	if o.Lookup == nil {
		o.Lookup = (&net.Resolver{PreferGo: true}).LookupHost
	}
	fill(&o.Every, defaultLookEvery)
	fill(&o.Patience, 2*time.Second)
	if o.Fails == 0 && o.Of == 0 {
		o.Fails, o.Of = 3, 5
	}
	fill(&o.Of, o.Fails)
	fill(&o.CoveredFor, 10*time.Minute)
	o.Names = slices.Clone(o.Names)
	return o
}

const defaultLookEvery = 15 * time.Second

// mostNames bounds how many names are looked up.
const mostNames = 64

func (o Options) dnsProblem() error {
	m := o.common()
	d := o.DNS
	if len(d.Names) == 0 {
		m.say("DNS.Names is empty: name what the service cannot do without")
	}
	if len(d.Names) > mostNames {
		m.say("DNS.Names has %d names: use %d at most, those that the service cannot do without", len(d.Names), mostNames)
	}
	seen := map[string]bool{}
	for _, n := range d.Names {
		switch {
		case n == "" || len(n) > 254 || strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r > '~' }):
			m.say("DNS.Names has %q: use a name of plain letters, at most 254", n)
		case n == severalKey || n == coveredKey:
			m.say("DNS.Names has %q, which is the key of another finding: write it with a dot at the end", n)
		case seen[n]:
			m.say("DNS.Names has %q twice: drop one", n)
		}
		seen[n] = true
	}
	m.atLeast("DNS.Every", d.Every, time.Millisecond)
	if d.Patience <= 0 || d.Patience > 5*time.Second {
		m.say("DNS.Patience is %v: use a time up to 5s, or 0 for 2s", d.Patience)
	}
	if d.Fails < 1 || d.Of < d.Fails || d.Of > 64 {
		m.say("DNS.Fails is %d of %d: use a number from 1 up to Of, which is 64 at most", d.Fails, d.Of)
	}
	m.atLeast("DNS.CoveredFor", d.CoveredFor, time.Second)
	if d.Resolver != nil {
		if err := d.Resolver.problem; err != nil {
			*m = append(*m, err)
		}
	}
	return m.join()
}
