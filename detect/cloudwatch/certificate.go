package cloudwatch

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect/internal/receive"
)

const (
	// maxCerts bounds the cache. SNS has a certificate a region, and renews it.
	maxCerts = 8
	// certLife is how long one is kept, so that one that was withdrawn goes.
	certLife = 24 * time.Hour
)

// cached is a certificate that was fetched and found good.
type cached struct {
	address string
	cert    *x509.Certificate
	until   time.Time
}

// key returns the key of a certificate, from the cache or fetched. One post at a
// time fetches, so that a flood of them with made-up addresses is no flood of
// requests of ours.
func (s *sns) key(ctx context.Context, address string, now time.Time) (*rsa.PublicKey, *receive.Verdict) {
	if cert := s.known(address, now); cert != nil {
		return cert.PublicKey.(*rsa.PublicKey), nil
	}
	select {
	case s.fetching <- struct{}{}:
	case <-ctx.Done():
		no := receive.Fail(receive.Busy, errors.New("earlier posts still wait for certificates"))
		return nil, &no
	}
	defer func() { <-s.fetching }()
	if cert := s.known(address, now); cert != nil {
		return cert.PublicKey.(*rsa.PublicKey), nil
	}
	b, err := s.get(ctx, address)
	if err != nil {
		no := receive.Fail(fetchFailed, err)
		return nil, &no
	}
	cert, err := s.judge(b, now)
	if err != nil {
		no := receive.Refuse(http.StatusForbidden, badCert, "the certificate does not hold")
		no.Err = err
		return nil, no
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := now.Add(certLife)
	if cert.NotAfter.Before(until) {
		until = cert.NotAfter
	}
	s.certs = append(s.certs, cached{address, cert, until})
	if len(s.certs) > maxCerts {
		s.certs = slices.Delete(s.certs, 0, 1)
	}
	return cert.PublicKey.(*rsa.PublicKey), nil
}

// known looks into the cache.
func (s *sns) known(address string, now time.Time) *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certs = slices.DeleteFunc(s.certs, func(c cached) bool { return !now.Before(c.until) })
	i := slices.IndexFunc(s.certs, func(c cached) bool { return c.address == address })
	if i < 0 {
		return nil
	}
	c := s.certs[i]
	s.certs = append(slices.Delete(s.certs, i, i+1), c)
	return c.cert
}

// judge reads a certificate, and those that may come with it, and checks it.
func (s *sns) judge(b []byte, now time.Time) (*x509.Certificate, error) {
	var leaf *x509.Certificate
	between := x509.NewCertPool()
	for range 8 {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return nil, err
		case leaf == nil:
			leaf = cert
		default:
			between.AddCert(cert)
		}
	}
	if leaf == nil {
		return nil, errors.New("it is no PEM")
	}
	if _, ok := leaf.PublicKey.(*rsa.PublicKey); !ok {
		return nil, fmt.Errorf("its key is %T, not RSA", leaf.PublicKey)
	}
	if s.roots != nil {
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: s.roots, Intermediates: between, CurrentTime: now,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		return leaf, err
	}
	return leaf, issued(leaf, now)
}

// issued checks a certificate that came without those in between: whom it
// belongs to, who says that he signed it, and when. That it is Amazon's is for
// the TLS of the fetch to prove.
func issued(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore) || now.After(c.NotAfter):
		return fmt.Errorf("it is in force from %v to %v", c.NotBefore, c.NotAfter)
	case !slices.Contains(c.Issuer.Organization, "Amazon"):
		return fmt.Errorf("its issuer is %v, not Amazon", c.Issuer)
	}
	for _, name := range append([]string{c.Subject.CommonName}, c.DNSNames...) {
		if name = strings.TrimSuffix(name, ".cn"); name == "sns.amazonaws.com" || snsHost(name) {
			return nil
		}
	}
	return fmt.Errorf("it belongs to %v %q, not to SNS", c.Subject, c.DNSNames)
}
