package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// ResolverOptions are for [NewResolver].
type ResolverOptions struct {
	// First is asked first, always. nil means Go's own resolver with the servers of
	// the system.
	First Lookup
	// Second is asked where the first fails, while the step second-resolver is in
	// force: a resolver of another operator or network. nil leaves that step out. See
	// [Server].
	Second Lookup
	// Patience is how long First may take before a fallback answers, while one is in
	// force. 0 means 1.8 s, the client response timer of RFC 8767.
	Patience time.Duration
	// MaxAge is how old a last good answer may be to be served, while the step
	// serve-last-good is in force. 0 means 1 h (S); RFC 8767 allows days, but a
	// cluster gives its addresses to others sooner. -1 leaves that step out.
	MaxAge time.Duration
	// Most is how many names are remembered. 0 means 1,000.
	Most int
}

// Resolver resolves names for a service, and remembers the last good answer to each.
// The first server is asked first, and again 5 s after it failed at the latest, so that
// a fallback never hides that it is well again:
//
//	resolver := host.NewResolver(host.ResolverOptions{Second: host.Server("10.1.0.2:53")})
//	transport.DialContext = resolver.DialContext(&net.Dialer{})
//
// Fallbacks are steps of the ladder of [DNS] and are off until they are needed: while
// one is in force an answer that fails, is empty, or says that there is no such name
// is replaced by one that is better, if there is any. When a fallback is undone it
// goes on until the first server has answered three times in a row: putting it back
// must not bring the outage back. It is safe for concurrent use.
type Resolver struct {
	o       ResolverOptions
	problem error

	mu     sync.Mutex
	last   map[string]answer
	stale  mode
	second mode
	failed bool      // the first server, and has not answered three times since
	well   int       // answers in a row since it failed
	askAt  time.Time // when it is asked again while a fallback answers
	since  time.Time // since when a fallback covers up; zero if none does
	why    string
}

type answer struct {
	addresses []string
	at        time.Time
}

// mode is how a fallback stands.
type mode uint8

const (
	off     mode = iota
	on           // a step took it
	leaving      // it was undone, and goes on until the first server is well
)

const (
	// wellAgain is how many answers in a row end a fallback that was undone.
	wellAgain = 3
	// askFirstEvery is for how long a fallback answers at once after the first server
	// failed, so that not every caller waits for it; RFC 8767 recommends 30 s at most.
	askFirstEvery = 5 * time.Second
)

// NewResolver returns a resolver without a fallback in force. Options that make no
// sense are a wiring mistake of the watch that it is given to.
func NewResolver(o ResolverOptions) *Resolver {
	if o.First == nil {
		o.First = (&net.Resolver{PreferGo: true}).LookupHost
	}
	fill(&o.Patience, 1800*time.Millisecond)
	fill(&o.MaxAge, time.Hour)
	fill(&o.Most, 1000)
	r := &Resolver{o: o, last: map[string]answer{}}
	m := &mistakes{}
	if o.Patience < 0 {
		m.say("ResolverOptions.Patience is %v: use a positive time, or 0 for 1.8s", o.Patience)
	}
	if o.MaxAge < 0 && o.MaxAge != -1 {
		m.say("ResolverOptions.MaxAge is %v: use a time, 0 for 1h, or -1 for no such step", o.MaxAge)
	}
	if o.Most < 0 {
		m.say("ResolverOptions.Most is %d: use a positive number, or 0 for 1000", o.Most)
	}
	r.problem = m.join()
	return r
}

// Server returns a lookup that asks the DNS server at address (host:port, the host as
// an IP address) instead of those of the system.
func Server(address string) Lookup {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	return r.LookupHost
}

// LookupHost resolves a name as [net.Resolver.LookupHost] does.
func (r *Resolver) LookupHost(ctx context.Context, name string) ([]string, error) {
	stale, second, wait := r.modes()
	covers := stale != off || second != off
	if covers && wait {
		if addresses := r.cover(ctx, name, stale, second); len(addresses) > 0 {
			return addresses, nil
		}
	}
	ask := ctx
	if covers {
		patience := r.o.Patience
		if deadline, ok := ctx.Deadline(); ok { // leave a part of it to the fallback
			patience = min(patience, time.Until(deadline)*2/3)
		}
		var cancel context.CancelFunc
		ask, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	addresses, err := r.o.First(ask, name)
	if err == nil && len(addresses) == 0 {
		err = &net.DNSError{Err: "the answer is empty", Name: name, IsNotFound: true}
	}
	if err == nil {
		r.good(name, addresses, true)
		return addresses, nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, err // who asked has gone: that says nothing of the server
	}
	var covered []string
	if covers {
		covered = r.cover(ctx, name, stale, second)
	}
	r.failure(name, err, len(covered) > 0)
	if len(covered) > 0 {
		return covered, nil
	}
	return nil, err
}

// cover is the answer of a fallback, fresh before old.
func (r *Resolver) cover(ctx context.Context, name string, stale, second mode) []string {
	if second != off && r.o.Second != nil {
		if addresses, err := r.o.Second(ctx, name); err == nil && len(addresses) > 0 {
			r.good(name, addresses, false)
			return addresses
		}
	}
	if stale == off {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.last[key(name)]
	if !ok || time.Since(a.at) >= r.o.MaxAge {
		return nil
	}
	return slices.Clone(a.addresses)
}

func key(name string) string { return strings.ToLower(name) }

// modes is what is in force, and whether the first server is to be left alone for a
// moment since it has just failed.
func (r *Resolver) modes() (stale, second mode, wait bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stale, r.second, r.failed && time.Now().Before(r.askAt)
}

// good remembers an answer.
func (r *Resolver) good(name string, addresses []string, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := key(name)
	if _, known := r.last[k]; !known && len(r.last) >= r.o.Most {
		r.forget()
	}
	r.last[k] = answer{slices.Clone(addresses), time.Now()}
	if !first {
		return
	}
	r.askAt = time.Time{}
	if r.well++; r.failed && r.well >= wellAgain {
		r.failed, r.since, r.why = false, time.Time{}, ""
	}
	if !r.failed {
		r.leave()
	}
}

// forget drops the oldest of a few answers, which is old enough.
func (r *Resolver) forget() {
	var oldest string
	var at time.Time
	n := 0
	for k, a := range r.last {
		if n == 0 || a.at.Before(at) {
			oldest, at = k, a.at
		}
		if n++; n == 16 {
			break
		}
	}
	delete(r.last, oldest)
}

// leave ends the fallbacks that were undone. The lock is held.
func (r *Resolver) leave() {
	for _, m := range []*mode{&r.stale, &r.second} {
		if *m == leaving {
			*m = off
		}
	}
}

// failure notes that the first server failed. That there is no such name is an
// answer, unless the name was there a while ago.
func (r *Resolver) failure(name string, err error, covered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var answered *net.DNSError
	if errors.As(err, &answered) && answered.IsNotFound {
		if a, known := r.last[key(name)]; !known || time.Since(a.at) >= max(r.o.MaxAge, time.Minute) {
			return
		}
	}
	r.failed, r.well = true, 0
	r.askAt = time.Now().Add(askFirstEvery)
	r.why = oneLine(err.Error())
	if covered && r.since.IsZero() {
		r.since = time.Now()
	}
}

// covering is since when a fallback answers for the first server, and how that fails.
func (r *Resolver) covering() (since time.Time, why string) {
	if r == nil {
		return time.Time{}, ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since, r.why
}

// DialContext is d.DialContext with names resolved by r; the addresses are tried in
// turn.
func (r *Resolver) DialContext(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		name, port, err := net.SplitHostPort(address)
		if err != nil || name == "" || net.ParseIP(name) != nil {
			return d.DialContext(ctx, network, address)
		}
		addresses, err := r.LookupHost(ctx, name)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: err}
		}
		var errs []error
		for _, a := range addresses {
			if wrongKind(network, a) {
				continue
			}
			conn, err := d.DialContext(ctx, network, net.JoinHostPort(a, port))
			if err == nil {
				return conn, nil
			}
			if errs = append(errs, err); ctx.Err() != nil {
				break
			}
		}
		if len(errs) == 0 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s has no address for %s", name, network)}
		}
		return nil, errors.Join(errs...)
	}
}

// wrongKind says whether an address does not belong to a network such as tcp4.
func wrongKind(network, address string) bool {
	six := strings.Contains(address, ":")
	return strings.HasSuffix(network, "4") && six || strings.HasSuffix(network, "6") && !six
}

// ServeLastGood is a step that answers with the last good answer, up to MaxAge old,
// where the first server fails. It is Safe, so that it holds in the storm that an
// outage of DNS is.
func (r *Resolver) ServeLastGood() remediate.Step {
	return r.fallback("serve-last-good", &r.stale, remediate.Safe, r.o.MaxAge != -1)
}

// UseSecond is a step that asks the second server where the first fails.
func (r *Resolver) UseSecond() remediate.Step {
	return r.fallback("second-resolver", &r.second, remediate.Disruptive, r.o.Second != nil)
}

func (r *Resolver) fallback(name string, m *mode, risk remediate.Risk, there bool) remediate.Step {
	set := func(to mode) remediate.Action {
		return func(ctx context.Context, _ remediate.Request) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !there {
				return skip("the resolver has no such fallback")
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if to == leaving && (*m == off || !r.failed) {
				to = off
			}
			*m = to
			return nil
		}
	}
	return remediate.Step{
		Name: name, Run: set(on), Undo: set(leaving), Measure: "host/" + name, Settle: 3 * defaultLookEvery, Risk: risk,
	}
}
