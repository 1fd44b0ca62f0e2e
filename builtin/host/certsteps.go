package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// The labels of findings about certificates.
const (
	certificateLabel = "certificate" // its name
	authorityLabel   = "authority"   // what ends is this one, above it
	renewedLabel     = "renewed"     // what is served ends, and the file holds another
)

// of finds the certificate that a finding is about.
func of(certs []Certificate, req remediate.Request) *Certificate {
	for i := range certs {
		if certs[i].name() == req.Finding.Labels[certificateLabel] {
			return &certs[i]
		}
	}
	return nil
}

// ReloadCertificate is a step that makes the service read a certificate file again,
// for findings of [CertificateStale] about one of certs; others are skipped. What is in
// the file is checked first, so that it is Safe.
func ReloadCertificate(certs ...Certificate) remediate.Step {
	certs = slices.Clone(certs)
	return remediate.Step{
		Name: "reload", Risk: remediate.Safe, Settle: 5 * time.Second,
		Retry: remediate.Backoff{Tries: 3, Initial: 10 * time.Second, Max: time.Minute},
		Run: func(ctx context.Context, req remediate.Request) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			c := of(certs, req)
			switch {
			case c == nil:
				return skip("no certificate of that name is watched")
			case c.Reload != nil:
				return c.reload(ctx)
			case c.Pair != nil:
				return c.Pair.Reload(ctx, req)
			}
			return skip("there is no hook that reloads it")
		},
	}
}

// reload calls the hook, unless clients would refuse what is in the file.
func (c *Certificate) reload(ctx context.Context) error {
	if c.file() == "" || !c.serves() {
		return skip("without both a file and what is served there is nothing to compare")
	}
	next, err := (&certFile{path: c.file()}).read()
	if err != nil {
		return err
	}
	old, err := c.served(ctx)
	if err != nil {
		return err
	}
	if next.same(old) {
		return skip("the file holds what is served already")
	}
	if err := (KeypairOptions{}).check(next, old, time.Now()); err != nil {
		return fmt.Errorf("host: reload %s: what is in the file is not taken: %w", c.file(), err)
	}
	return c.Reload(ctx)
}

// renewGap is the least time between two requests for a renewal of one certificate.
const renewGap = 6 * time.Hour

// RenewCertificate is a step that asks for the renewal of a certificate, for findings of
// [CertificateExpiry] about one of certs that has a Renew; others are skipped. It asks
// once in 6 h for each, calls people where an authority of the chain is what ends, and
// skips where the file has been renewed already.
func RenewCertificate(certs ...Certificate) remediate.Step {
	certs = slices.Clone(certs)
	asked := &renewals{}
	return remediate.Step{
		Name: "renew", Lasting: true, Scope: remediate.Host, Risk: remediate.Disruptive, Timeout: 2 * time.Minute, Settle: 10 * time.Minute,
		Run: func(ctx context.Context, req remediate.Request) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			c := of(certs, req)
			switch {
			case c == nil || c.Renew == nil:
				return skip("there is no hook that renews it")
			case req.Finding.Labels[authorityLabel] != "":
				return fmt.Errorf("host: what ends is an authority of the chain, which no renewal of the certificate mends: %w", remediate.ErrEscalate)
			case req.Finding.Labels[renewedLabel] != "":
				return skip("the file is renewed already, and the service still serves what was in it before")
			case !asked.may(c.name()):
				return skip(fmt.Sprintf("a renewal was asked for less than %v ago", renewGap))
			}
			return c.Renew(ctx)
		},
	}
}

// renewals notes when renewals were asked for.
type renewals struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (r *renewals) may(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.last[name]; ok && time.Since(at) < renewGap {
		return false
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[name] = time.Now()
	return true
}
