package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
)

// The keys of [DNS] beside the names.
const (
	severalKey = "several names" // half of them, and at least two: people are called at once
	coveredKey = "first server"  // it fails, and a fallback covers up for it
)

// lookupsAtOnce bounds how many names are looked up at the same time.
const lookupsAtOnce = 8

// dns watches whether names resolve (LX-9).
type dns struct {
	o       DNSOptions
	invalid error
	lookup  Lookup

	mu    sync.Mutex
	names []resolved
}

// resolved is what the last looks at a name brought: a bit a look, 1 for a failure,
// the newest lowest.
type resolved struct {
	fails uint64
	sick  bool
	why   string
}

func newDNS(o Options) *dns {
	d := &dns{o: o.DNS, invalid: o.dnsProblem(), lookup: o.DNS.Lookup, names: make([]resolved, len(o.DNS.Names))}
	if o.DNS.Resolver != nil {
		d.lookup = o.DNS.Resolver.LookupHost
	}
	return d
}

func (d *dns) Validate() error { return d.invalid }

func (d *dns) Detect(ctx context.Context) ([]detect.Finding, error) {
	if d.invalid != nil {
		return nil, d.invalid
	}
	whys, blind := make([]string, len(d.o.Names)), make([]error, len(d.o.Names))
	slots := make(chan struct{}, lookupsAtOnce)
	var all sync.WaitGroup
	for i, name := range d.o.Names {
		slots <- struct{}{} // each ends within Patience
		all.Go(func() {
			defer func() { <-slots }()
			blind[i] = selfheal.ErrGoexit // unless it returns
			whys[i], blind[i] = d.look(ctx, name)
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // its silence may be ours
	}
	if err := errors.Join(blind...); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []detect.Finding
	sick := 0
	for i, name := range d.o.Names {
		if d.names[i].take(whys[i], d.o.Fails, d.o.Of); d.names[i].sick {
			sick++
			found = append(found, detect.Finding{Key: name, Severity: detect.Critical, Summary: name + " does not resolve: " + d.names[i].why})
		}
	}
	if sick >= 2 && 2*sick >= len(d.names) {
		found = append(found, detect.Finding{
			Key: severalKey, Severity: detect.Critical, Value: float64(sick), Unit: "names",
			Summary: fmt.Sprintf("%d of %d names do not resolve: the servers or the way to them are at fault", sick, len(d.names)),
		})
	}
	if since, why := d.o.Resolver.covering(); !since.IsZero() && time.Since(since) >= d.o.CoveredFor {
		found = append(found, detect.Finding{
			Key: coveredKey, Summary: "the first DNS server has failed for more than " + span(d.o.CoveredFor) + ", and a fallback answers in its place",
			Evidence: []slog.Attr{slog.String("error", why)},
		})
	}
	return found, nil
}

// look says why a name does not resolve; "" if it does. It runs on a goroutine of ours,
// so that a panic of the lookup ends here: it says nothing of the name.
func (d *dns) look(ctx context.Context, name string) (why string, blind error) {
	defer func() {
		if x := recover(); x != nil {
			blind = fmt.Errorf("host: look %s up: %w", name, &selfheal.PanicError{Where: "DNS lookup", Value: x, Stack: debug.Stack()})
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, d.o.Patience)
	defer cancel()
	addresses, err := d.lookup(ctx, name)
	return whyNot(addresses, err, d.o.Patience), nil
}

func whyNot(addresses []string, err error, patience time.Duration) string {
	var failed *net.DNSError
	switch {
	case err == nil && len(addresses) > 0:
		return ""
	case err == nil:
		return "the answer is empty"
	case errors.As(err, &failed) && failed.IsNotFound:
		return "there is no such name (NXDOMAIN), or it has no address"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &failed) && failed.IsTimeout:
		return "no answer within " + patience.String()
	case errors.As(err, &failed) && failed.IsTemporary:
		return "the server fails (SERVFAIL or alike)"
	}
	return oneLine(err.Error())
}

// oneLine makes what an error says fit into a summary.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + " …"
	}
	return s
}

// take notes a look. A name is sick from enough failures, the last look among them,
// until it has resolved twice in a row; then the past is forgotten, or a fix would
// seem to fail because of what was before it.
func (r *resolved) take(why string, fails, of int) {
	r.fails <<= 1
	if why != "" {
		r.fails |= 1
		r.why = why
	}
	switch recent := r.fails & (1<<of - 1); {
	case why != "" && bits.OnesCount64(recent) >= fails:
		r.sick = true
	case r.sick && r.fails&3 == 0:
		r.sick, r.fails = false, 0
	}
}
