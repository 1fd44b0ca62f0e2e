package strict

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"time"
)

// A Fault is a way to fail.
type Fault int

// The faults.
const (
	None        Fault = iota
	Refused           // nobody listens
	Reset             // the connection is cut before the request was looked at
	Slow              // the request is carried out, and its answer never comes
	Throttled         // 429, Retry-After: 1
	Unavailable       // 503
	Rejected          // the status by which this provider says never
	Untrusted         // a certificate of nobody known
	Unresolved        // the host has no address
	WrongBody         // 200 from something that is not the provider
)

// Faults are all of them, by name.
var Faults = map[string]Fault{
	"refused": Refused, "reset": Reset, "slow": Slow, "429 with Retry-After": Throttled, "5xx for a while": Unavailable,
	"permanent 4xx": Rejected, "TLS failure": Untrusted, "DNS failure": Unresolved, "200 with a wrong body": WrongBody,
}

// Break makes the server fail until the next Break; None heals it.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Hits is how often a fault was met since the server was started.
func (s *Server) Hits(f Fault) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hit[f]
}

// now is the fault of this moment; met says that it is met here.
func (s *Server) now(met ...Fault) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range met {
		if f == s.fault {
			s.hit[f]++
		}
	}
	return s.fault
}

// fail does what the fault wants; false means that the provider answers.
func (c *call) fail(f Fault) bool {
	switch f {
	case Reset:
		c.reset()
	case Slow:
		inner := *c
		inner.w = httptest.NewRecorder()
		c.rules(&inner)
		select {
		case <-c.r.Context().Done():
		case <-c.quit:
		}
	case Throttled:
		c.w.Header().Set("Retry-After", "1")
		c.answer(http.StatusTooManyRequests, "slow down")
	case Unavailable:
		c.answer(http.StatusServiceUnavailable, "upstream is down")
	case Rejected:
		c.answer(c.odd, "never")
	case WrongBody:
		if c.numb {
			return false
		}
		c.answer(http.StatusOK, "<!DOCTYPE html><title>Sign in</title>")
	default:
		return false
	}
	return true
}

// reset sends RST instead of an answer.
func (c *call) reset() {
	h, ok := c.w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := h.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	if t, ok := conn.(*tls.Conn); ok {
		if tcp, ok := t.NetConn().(*net.TCPConn); ok {
			tcp.SetLinger(0)
			tcp.Close()
		}
	}
}

// dial fails for the faults that come before the server.
func (s *Server) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	switch s.now(Refused, Unresolved) {
	case Refused:
		nobody, err := free()
		if err != nil {
			return nil, err
		}
		addr = nobody
	case Unresolved:
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		d.Resolver = &net.Resolver{PreferGo: true, Dial: nowhere}
		addr = net.JoinHostPort("provider.example.com.", port)
	}
	return d.DialContext(ctx, network, addr)
}

// tls is the configuration of the server, which has another certificate during
// [Untrusted].
func (s *Server) tls() *tls.Config {
	stranger, err := certificate()
	if err != nil {
		s.tb.Fatalf("strict: a certificate: %v", err)
	}
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if s.now(Untrusted) == Untrusted {
			return &tls.Config{Certificates: []tls.Certificate{stranger}}, nil
		}
		return nil, nil
	}}
}

func (s *Server) trust() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(s.srv.Certificate())
	return &tls.Config{RootCAs: roots}
}

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stranger"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// nowhere is a connection to a name server that knows no name: it answers every
// question with NXDOMAIN (RFC 1035, section 4.1.1).
func nowhere(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		for {
			// A stream has the length before each message (section 4.2.2).
			length := make([]byte, 2)
			if _, err := io.ReadFull(theirs, length); err != nil {
				return
			}
			message := make([]byte, int(length[0])<<8|int(length[1]))
			if _, err := io.ReadFull(theirs, message); err != nil || len(message) < 12 {
				return
			}
			answer, err := noSuchName(message)
			if err != nil {
				return
			}
			if _, err := theirs.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)); err != nil {
				return
			}
		}
	}()
	return ours, nil
}

// noSuchName answers a question with the question alone and the code 3.
func noSuchName(question []byte) ([]byte, error) {
	end := 12
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	if end += 5; end > len(question) {
		return nil, errors.New("no question")
	}
	answer := append([]byte{}, question[:end]...)
	answer[2], answer[3] = 0x81, 0x83
	copy(answer[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	return answer, nil
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
