package receive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func endpoint(tb testing.TB) *Endpoint {
	e := &Endpoint{
		Kind: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Handle: func(context.Context, *Message) Verdict { return Verdict{Status: 200, Say: "ok"} },
	}
	require.NoError(tb, e.Check())
	return e
}

// pipes is a listener whose connections are pipes, which know virtual time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A sender that never ends its body is let go after 10 s.
func TestASenderThatDribbles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := endpoint(t)
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: e, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
		go func() { _ = server.Serve(p) }()
		client, served := net.Pipe()
		p.conns <- served
		began := time.Now()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			fmt.Fprint(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
			for {
				if _, err := client.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, answer.StatusCode)
		require.Equal(t, readTime, time.Since(began).Round(time.Second))
		require.Equal(t, map[string]uint64{Unreadable: 1}, e.Stats().Refused)
		client.Close()
		<-ended
		require.NoError(t, server.Close())
	})
}

func TestAnswers(t *testing.T) {
	e := endpoint(t)
	for _, c := range []struct {
		verdict Verdict
		header  string
		want    string
	}{
		{Fail(NotStored, io.EOF), "Retry-After", "5"},
		{*Refuse(http.StatusUnauthorized, NoProof, "no"), "WWW-Authenticate", `Signature realm="alerts"`},
		{Ignore(NoAlerts, "none"), "Content-Type", "text/plain; charset=utf-8"},
	} {
		e.Handle = func(context.Context, *Message) Verdict { return c.verdict }
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
		require.Equal(t, c.verdict.Status, w.Code)
		require.Equal(t, c.want, w.Header().Get(c.header))
		require.Equal(t, c.verdict.Say+"\n", w.Body.String())
	}
	e.Handle = func(context.Context, *Message) Verdict { panic("canary") }
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "canary")
	w = httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/", nil))
	require.Equal(t, "POST", w.Header().Get("Allow"))
	require.Equal(t, map[string]uint64{NotStored: 1, Panicked: 1}, e.Stats().Failed)
}

// Each kind of refusal is logged once: whoever can reach the handler must not be
// able to fill the log.
func TestTheLogIsNotForStrangersToFill(t *testing.T) {
	var said bytes.Buffer
	e := endpoint(t)
	e.Log = slog.New(slog.NewTextHandler(&said, nil))
	e.Prove = func(*Message) *Verdict { return Refuse(http.StatusUnauthorized, WrongProof, "no") }
	for range 100 {
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("canary")))
	}
	require.Equal(t, 1, strings.Count(said.String(), "\n"))
	require.Contains(t, said.String(), `reason="wrong proof"`)
	require.NotContains(t, said.String(), "canary")
	require.Equal(t, uint64(100), e.Stats().Refused[WrongProof])
	s := e.Stats()
	s.Refused[WrongProof] = 0
	require.Equal(t, uint64(100), e.Stats().Refused[WrongProof], "what is handed out is a copy")
}

func TestBearerAndBasic(t *testing.T) {
	admit := func(c AccessConfig, header string) int {
		c.Kind = "test"
		a, err := NewAccess(c)
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		if no := a.Admit(r); no != nil {
			return no.Status
		}
		return 200
	}
	const ab = "Basic YTpi" // a:b
	bearer := AccessConfig{Bearer: "t", Secrets: []detect.Secret{"u"}}
	basic := AccessConfig{BasicUser: "a", BasicPassword: "x", Secrets: []detect.Secret{"b"}}
	both := AccessConfig{Bearer: "t", BasicUser: "a", BasicPassword: "b"}
	for _, c := range []struct {
		c      AccessConfig
		header string
		want   int
	}{
		{bearer, "", 401}, {bearer, "Bearer t", 200}, {bearer, "bearer u", 200}, {bearer, "Bearer v", 401}, {bearer, "Bearer ", 401},
		{bearer, "t", 401}, {bearer, ab, 401}, {bearer, "Basic OnQ=", 401},
		{basic, ab, 200}, {basic, "Basic YTp4", 200}, {basic, "Basic YTpj", 401}, {basic, "Basic Yjpi", 401}, {basic, "Bearer b", 401}, {basic, "Basic !", 401},
		{both, ab, 200}, {both, "Bearer t", 200}, {both, "Bearer b", 401},
	} {
		require.Equal(t, c.want, admit(c.c, c.header), "%q", c.header)
	}
}

// A real handshake: the server asks for a certificate and accepts any, as
// servers do that serve others beside.
func TestClientCertificates(t *testing.T) {
	ca, caKey := certificate(t, nil, nil, nil)
	other, otherKey := certificate(t, nil, nil, nil)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	access, err := NewAccess(AccessConfig{Kind: "test", ClientCAs: pool})
	require.NoError(t, err)
	e := endpoint(t)
	e.Admit = access.Admit
	server := httptest.NewUnstartedServer(e)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	post := func(leaf *x509.Certificate, key *ecdsa.PrivateKey) int {
		client := server.Client()
		transport := client.Transport.(*http.Transport).Clone()
		if leaf != nil {
			transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}
		}
		defer transport.CloseIdleConnections()
		answer, err := (&http.Client{Transport: transport}).Post(server.URL, "text/plain", strings.NewReader("x"))
		require.NoError(t, err)
		answer.Body.Close()
		return answer.StatusCode
	}
	usage := func(u x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{u} }
	}
	require.Equal(t, 200, post(certificate(t, ca, caKey, usage(x509.ExtKeyUsageClientAuth))))
	require.Equal(t, 401, post(nil, nil))
	require.Equal(t, 401, post(certificate(t, other, otherKey, usage(x509.ExtKeyUsageClientAuth))))
	require.Equal(t, 401, post(certificate(t, ca, caKey, usage(x509.ExtKeyUsageServerAuth))))
	require.Equal(t, 401, post(certificate(t, ca, caKey, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })))
	require.NotNil(t, access.Admit(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)), "without TLS")
}

// certificate makes one, signed by itself where there is no parent.
func certificate(tb testing.TB, parent *x509.Certificate, by *ecdsa.PrivateKey, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if parent == nil {
		parent, by = c, key
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	require.NoError(tb, err)
	c, err = x509.ParseCertificate(der)
	require.NoError(tb, err)
	return c, key
}

func TestAccessMistakes(t *testing.T) {
	for _, c := range []struct {
		c    AccessConfig
		want string
	}{
		{AccessConfig{Schemes: "Bearer"}, "nothing proves where a request comes from: set Bearer, or Insecure"},
		{AccessConfig{Bearer: "canary\n"}, "Bearer begins or ends with white space"},
		{AccessConfig{BasicUser: "a"}, "BasicUser and BasicPassword belong together"},
		{AccessConfig{BasicPassword: "canary"}, "BasicUser and BasicPassword belong together"},
		{AccessConfig{Bearer: "a", Secrets: []detect.Secret{""}}, "Secrets[0] is empty"},
		{AccessConfig{ClientCAs: x509.NewCertPool(), Insecure: true}, "Insecure is set beside a proof of origin"},
	} {
		c.c.Kind = "test"
		_, err := NewAccess(c.c)
		require.ErrorContains(t, err, "detect/test: ")
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "canary")
	}
	var said bytes.Buffer
	a, err := NewAccess(AccessConfig{Kind: "test", Insecure: true, Log: slog.New(slog.NewTextHandler(&said, nil))})
	require.NoError(t, err)
	require.Nil(t, a)
	require.Contains(t, said.String(), "level=WARN")
}
