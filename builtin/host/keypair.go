package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// KeypairOptions are for [NewKeypair].
type KeypairOptions struct {
	// CertFile and KeyFile are PEM files: the certificate with the chain above it,
	// and its private key. Required.
	CertFile, KeyFile string
	// Names are the DNS names and IP addresses that a certificate must be good for. nil
	// means those of the one that is served already.
	Names []string
	// Roots are whom the chain must lead to. nil means that only the chain itself is
	// checked: each certificate in the file is signed by the next.
	Roots *x509.CertPool
}

// Keypair is a certificate that this process serves, or presents as a client, and
// that is replaced while it runs:
//
//	pair, err := host.NewKeypair(host.KeypairOptions{CertFile: "tls.crt", KeyFile: "tls.key"})
//	…
//	server.TLSConfig = &tls.Config{GetCertificate: pair.GetCertificate}
//
// It is safe for concurrent use.
type Keypair struct {
	o   KeypairOptions
	now atomic.Pointer[loaded]
}

type loaded struct {
	cert  tls.Certificate
	chain chain
}

// NewKeypair loads the files. It takes what they hold even if that is expired, since
// a service that does not start helps nobody; it fails where the key does not fit or
// a file cannot be read.
func NewKeypair(o KeypairOptions) (*Keypair, error) {
	k := &Keypair{o: o}
	l, err := k.load()
	if err != nil {
		return nil, fmt.Errorf("host: certificate %s: %w", o.CertFile, err)
	}
	k.now.Store(l)
	return k, nil
}

// GetCertificate is for tls.Config.
func (k *Keypair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &k.now.Load().cert, nil
}

// GetClientCertificate is for tls.Config.
func (k *Keypair) GetClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return &k.now.Load().cert, nil
}

func (k *Keypair) chain() (chain, error) { return k.now.Load().chain, nil }

// Reload is an action that reads the files again and takes what they hold for new
// connections, after it has checked that the key fits, that the certificate is valid
// now and longer than the present one, that it is good for the names, and that the
// chain holds. What does not pass is not taken, and the error says why. It skips where
// the files hold what is served already.
func (k *Keypair) Reload(ctx context.Context, req remediate.Request) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	old := k.now.Load()
	l, err := k.load()
	if err != nil {
		return fmt.Errorf("host: reload %s: %w", k.o.CertFile, err)
	}
	if l.chain.same(old.chain) && len(l.chain) == len(old.chain) {
		return skip("the file holds what is served already")
	}
	if err := k.o.check(l.chain, old.chain, time.Now()); err != nil {
		return fmt.Errorf("host: reload %s: what is in the file is not taken: %w", k.o.CertFile, err)
	}
	if req.Log != nil {
		req.Log.Info("selfheal: certificate reloaded", "file", k.o.CertFile, "until", l.chain[0].NotAfter,
			"same_key", bytes.Equal(l.chain[0].RawSubjectPublicKeyInfo, old.chain[0].RawSubjectPublicKeyInfo))
	}
	k.now.CompareAndSwap(old, l) // who was faster has read the same files
	return nil
}

func (k *Keypair) load() (*loaded, error) {
	certText, err := os.ReadFile(k.o.CertFile)
	if err != nil {
		return nil, err
	}
	keyText, err := os.ReadFile(k.o.KeyFile)
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(certText, keyText) // checks that they fit
	if err != nil {
		return nil, err
	}
	c, err := parseChain(certText)
	if err != nil {
		return nil, err
	}
	return &loaded{cert, c}, nil
}

// check says why a chain is not to be taken in the place of another.
func (o KeypairOptions) check(next, old chain, now time.Time) error {
	leaf := next[0]
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it is not valid before %v", leaf.NotBefore)
	case !now.Before(leaf.NotAfter):
		return fmt.Errorf("it ended at %v", leaf.NotAfter)
	case leaf.NotAfter.Before(old[0].NotAfter):
		return fmt.Errorf("it ends at %v, before the one that is served", leaf.NotAfter)
	}
	names := o.Names
	if names == nil {
		names = slices.Clone(old[0].DNSNames)
		for _, ip := range old[0].IPAddresses {
			names = append(names, ip.String())
		}
	}
	for _, n := range names {
		if err := goodFor(leaf, n); err != nil {
			return err
		}
	}
	if o.Roots == nil {
		for i, c := range next[1:] {
			if err := next[i].CheckSignatureFrom(c); err != nil {
				return fmt.Errorf("certificate %d of the chain is not signed by the next: %w", i+1, err)
			}
		}
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range next[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: o.Roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// goodFor says whether a certificate is good for a name, which may be a wildcard
// itself.
func goodFor(c *x509.Certificate, name string) error {
	for _, n := range c.DNSNames {
		if n == name {
			return nil
		}
	}
	if err := c.VerifyHostname(name); err != nil {
		return errors.Join(fmt.Errorf("it is not good for %q", name), err)
	}
	return nil
}
