package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Certificate is what is watched of one certificate: a file, what is served, or both,
// and then that they are the same.
type Certificate struct {
	// Name is the key of its findings. "" means File, or else Served.
	Name string
	// File is a PEM file with a certificate and the chain above it: of a server or of
	// a client. "" means that of Pair, or that only what is served is looked at.
	File string
	// Served is the address, host:port, at which it is served over TLS. It is looked
	// at by a handshake that sends no data and trusts nobody: what is presented is
	// judged here. A server that insists on a client certificate may refuse it, which
	// is blind. "" means what Pair holds, or that only the file is looked at.
	Served string
	// ServerName is what the handshake asks for. "" means the host of Served.
	ServerName string
	// Pair is a certificate that this process serves, and its reload. nil: none.
	Pair *Keypair
	// Reload makes the service read the file again. It is called once the chain in the
	// file has been found fit to take the place of what is served: valid now, for as
	// long, for the same names, each certificate signed by the next. That the key fits
	// is for Reload to check. nil means the reload of Pair, or no such rung.
	Reload func(ctx context.Context) error
	// Renew asks the issuing agent for a renewal. It is asked once at each of the
	// ExpiryLevels, and at most every 6 h. nil: no such rung.
	Renew func(ctx context.Context) error
}

func (c *Certificate) name() string {
	switch {
	case c.Name != "":
		return c.Name
	case c.file() != "":
		return c.file()
	}
	return c.Served
}

func (c *Certificate) file() string {
	if c.File == "" && c.Pair != nil {
		return c.Pair.o.CertFile
	}
	return c.File
}

func (c *Certificate) serves() bool { return c.Served != "" || c.Pair != nil }

// chain is certificates as they are in a file or presented by a server, the leaf
// first.
type chain []*x509.Certificate

// parseChain reads all certificates of a PEM file; other blocks, such as a key, are
// passed over.
func parseChain(text []byte) (chain, error) {
	var c chain
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(c)+1, err)
		}
		c = append(c, cert)
	}
	if len(c) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return c, nil
}

// first is the certificate that ends first, and what it is.
func (c chain) first() (cert *x509.Certificate, role string) {
	cert, role = c[0], "certificate"
	for _, other := range c[1:] {
		if other.NotAfter.Before(cert.NotAfter) {
			cert, role = other, "intermediate "+title(other)
			if bytes.Equal(other.RawIssuer, other.RawSubject) {
				role = "root " + title(other)
			}
		}
	}
	return cert, role
}

func title(c *x509.Certificate) string {
	if c.Subject.CommonName != "" {
		return fmt.Sprintf("%.80q", c.Subject.CommonName)
	}
	return fmt.Sprintf("%.80q", c.Subject.String())
}

func (c chain) same(other chain) bool { return bytes.Equal(c[0].Raw, other[0].Raw) }

// certFile is a file that is read again when it has changed.
type certFile struct {
	path  string
	info  os.FileInfo
	chain chain
	err   error
}

func (f *certFile) read() (chain, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.info = nil
		return nil, fmt.Errorf("host: certificate file: %w", err)
	}
	if f.info != nil && os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size() {
		return f.chain, f.err
	}
	text, err := os.ReadFile(f.path)
	if err == nil {
		f.chain, err = parseChain(text)
	}
	if err != nil {
		f.chain, err = nil, fmt.Errorf("host: certificate file %s: %w", f.path, err)
	}
	f.info, f.err = info, err
	return f.chain, err
}

const handshakeTimeout = 5 * time.Second

// served is what is presented now.
func (c *Certificate) served(ctx context.Context) (chain, error) {
	if c.Served == "" {
		return c.Pair.chain()
	}
	host := c.ServerName
	if host == "" {
		host, _, _ = net.SplitHostPort(c.Served)
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	// Nothing is sent and nobody is trusted: an expired certificate must be seen too.
	d := tls.Dialer{Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	conn, err := d.DialContext(ctx, "tcp", c.Served)
	if err != nil {
		return nil, fmt.Errorf("host: the certificate served at %s: %w", c.Served, err)
	}
	defer conn.Close()
	presented := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(presented) == 0 {
		return nil, fmt.Errorf("host: nothing was presented at %s", c.Served)
	}
	return presented, nil
}

func (o Options) certificatesProblem() error {
	m := o.common()
	names := map[string]bool{}
	for i := range o.Certificates {
		c := &o.Certificates[i]
		if c.file() == "" && !c.serves() {
			m.say("certificate %d has neither File nor Served nor Pair: set what is to be watched", i+1)
			continue
		}
		if names[c.name()] {
			m.say("two certificates are named %q: set Name", c.name())
		}
		names[c.name()] = true
		if c.Served != "" {
			if _, _, err := net.SplitHostPort(c.Served); err != nil {
				m.say("certificate %q: Served is %q: use host:port", c.name(), c.Served)
			}
		}
	}
	if o.ExpiryLevels != nil && len(o.ExpiryLevels) == 0 {
		m.say("ExpiryLevels is empty: name a level, or use nil for the defaults")
	}
	for i, l := range o.ExpiryLevels {
		if l <= 0 || i > 0 && l >= o.ExpiryLevels[i-1] {
			m.say("ExpiryLevels are %v: use falling times above 0", o.ExpiryLevels)
			break
		}
	}
	return m.join()
}
