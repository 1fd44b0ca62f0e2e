package smtptest

import (
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
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/email"
)

const (
	user     = "healing"
	password = "hunter2-canary/+"
)

// A post is a real mail server with mailboxes that fail at will.
type post struct {
	addr string
	pool *x509.CertPool

	mu        sync.Mutex
	fail      map[string]error // by command, or by recipient
	boxes     map[string]map[string]*mail.Message
	order     []string      // Message-IDs as they first came
	tries     int           // mails that came in whole, copies too
	hang      chan struct{} // closed when those who hang may go on
	hangs     bool
	mechanism []string
	taken     func() // called when a mail was taken, before it is acknowledged
}

func reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

func open(t *testing.T, atOnce bool) *post {
	t.Helper()
	p := &post{fail: map[string]error{}, boxes: map[string]map[string]*mail.Message{}, hang: make(chan struct{}), mechanism: []string{"PLAIN"}}
	cert := certificate(t)
	p.pool = x509.NewCertPool()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	require.NoError(t, err)
	p.pool.AddCert(leaf)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.addr = l.Addr().String()
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		if err := p.at("greeting"); err != nil {
			return nil, err
		}
		return &session{post: p}, nil
	}))
	s.Domain = "mail.example.com"
	s.MaxMessageBytes = 100_000
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.EnableSMTPUTF8 = true
	if atOnce {
		l = tls.NewListener(l, s.TLSConfig)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		close(p.hang)
		_ = s.Close()
		_ = l.Close() // Serve may not have begun, and then Close does not know it
		<-ended
	})
	return p
}

// at is what a command fails with, after it hung if it should.
func (p *post) at(command string) error {
	p.mu.Lock()
	hangs, err := p.hangs, p.fail[command]
	p.mu.Unlock()
	if hangs {
		<-p.hang
	}
	return err
}

func (p *post) fails(command string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail[command] = err
}

// mails is how many different mails arrived anywhere: one Message-ID counts once.
func (p *post) mails() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.order)
}

func (p *post) notifier(t *testing.T, change func(*email.Config)) *email.Notifier {
	t.Helper()
	c := email.Config{Addr: p.addr, From: "healing@example.com", To: []string{"oncall@example.com"}, Username: user, Password: password, RootCAs: p.pool}
	if change != nil {
		change(&c)
	}
	n, err := email.New(c)
	require.NoError(t, err)
	return n
}

type session struct {
	*post
	in bool
	to []string
}

func (s *session) AuthMechanisms() []string { return s.mechanism }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(username, secret string) error {
		if err := s.at("AUTH"); err != nil {
			return err
		}
		if username != user || secret != password {
			return smtp.ErrAuthFailed
		}
		s.in = true
		return nil
	}
	if mechanism == "LOGIN" {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, username, secret string) error { return check(username, secret) }), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	return s.at("MAIL")
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := s.at(to); err != nil {
		return err
	}
	s.to = append(s.to, to)
	return nil
}

// Data takes the mail, and may then say that it did not: that is what a failure
// after the final dot looks like.
func (s *session) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return reply(554, "no mail: "+err.Error())
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return err
	}
	m.Body = strings.NewReader(string(body))
	err = s.at("DATA")
	var refusal *smtp.SMTPError
	if errors.As(err, &refusal) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	id := m.Header.Get("Message-Id")
	known := false
	for _, o := range s.order {
		known = known || o == id
	}
	if !known {
		s.order = append(s.order, id)
	}
	for _, to := range s.to {
		if s.boxes[to] == nil {
			s.boxes[to] = map[string]*mail.Message{}
		}
		s.boxes[to][id] = m
	}
	if s.taken != nil {
		s.taken()
	}
	return nil
}

func (s *session) Reset()        { s.to = nil }
func (s *session) Logout() error { return nil }

// loginServer is the other side of LOGIN, which the server's library lacks.
type loginServer struct {
	check func(username, password string) error
	name  string
	step  int
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch {
	case l.step == 1:
		return []byte("Username:"), false, nil
	case l.step == 2:
		l.name = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.name, string(response))
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func notice(key, event string) escalate.Notification {
	return escalate.Notification{
		ID: key + "-" + event, DedupKey: key, At: time.Now(),
		Incident: escalate.Incident{ID: key, Watch: "orders/queue-depth", Opened: time.Now()},
	}
}
