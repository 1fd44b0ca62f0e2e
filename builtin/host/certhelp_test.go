package host

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// life is what a certificate is made with, from now on.
type life struct {
	from, until time.Duration
	names       []string
	key         *ecdsa.PrivateKey
}

var serial int64

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func newAuthority(t testing.TB, name string) *authority {
	return (*authority)(nil).issue(t, name, 10*365*day)
}

// issue makes an authority below a, or a root.
func (a *authority) issue(t testing.TB, name string, until time.Duration) *authority {
	serial++
	key := newKey(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-200 * day), NotAfter: time.Now().Add(until),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	parent, signer := c, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	return &authority{parse(t, c, parent, &key.PublicKey, signer), key}
}

func parse(t testing.TB, c, parent *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) *x509.Certificate {
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, public, signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	return cert
}

func (a *authority) leaf(t testing.TB, l life) *x509.Certificate {
	serial++
	if l.key == nil {
		l.key = newKey(t)
	}
	if l.names == nil {
		l.names = []string{"orders.test"}
	}
	return parse(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: l.names[0]}, DNSNames: l.names,
		NotBefore: time.Now().Add(l.from), NotAfter: time.Now().Add(l.until),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, &l.key.PublicKey, a.key)
}

// files is a certificate and a key on disk.
type files struct{ dir, cert, key string }

func newFiles(t testing.TB) files {
	dir := t.TempDir()
	return files{dir, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
}

// write replaces both by what a has issued.
func (f files) write(t testing.TB, a *authority, l life) *x509.Certificate {
	t.Helper()
	if l.key == nil {
		l.key = newKey(t)
	}
	cert := a.leaf(t, l)
	f.chain(t, cert, a.cert)
	f.keyOf(t, l.key)
	return cert
}

func (f files) chain(t testing.TB, certs ...*x509.Certificate) {
	var text []byte
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	replace(t, f.cert, text)
}

func (f files) keyOf(t testing.TB, key *ecdsa.PrivateKey) {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	replace(t, f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// replace puts a new file in the place of an old one, as agents do.
func replace(t testing.TB, path string, text []byte) {
	require.NoError(t, os.WriteFile(path+".new", text, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}
