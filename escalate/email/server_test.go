package email

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server is a mail server that says what a test wants. (One that others wrote
// is in smtptest.)
type server struct {
	addr string
	pool *x509.CertPool

	mu       sync.Mutex
	replies  map[string][]string // by the beginning of a command: said once each, the last for ever
	offers   []string            // beside STARTTLS
	mails    []mailbox
	commands []string
	hang     bool // say nothing more
	atOnce   bool

	listener net.Listener
	cert     tls.Certificate
	running  sync.WaitGroup
	conns    map[net.Conn]bool
}

type mailbox struct {
	from, text string
	to         []string
	secure     bool
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{addr: l.Addr().String(), listener: l, replies: map[string][]string{}, offers: []string{"AUTH PLAIN LOGIN"}, conns: map[net.Conn]bool{}}
	s.cert, s.pool = certificate(t)
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.running.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// say makes the server reply so to commands that begin with a word.
func (s *server) say(command string, replies ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[command] = replies
}

func (s *server) set(change func()) { s.mu.Lock(); defer s.mu.Unlock(); change() }

func (s *server) got() []mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]mailbox(nil), s.mails...)
}

func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.commands, "\n")
}

// reply is what a test wants said to a line, or "". It is said once if there is
// more to say later.
func (s *server) reply(line string) (text string, hang bool) {
	text = s.peek(line)
	s.mu.Lock()
	defer s.mu.Unlock()
	for begin, replies := range s.replies {
		if begins(line, begin) && len(replies) > 1 {
			s.replies[begin] = replies[1:]
		}
	}
	return text, s.hang
}

// peek is what the next reply would be.
func (s *server) peek(line string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for begin, replies := range s.replies {
		if begins(line, begin) && len(replies) > 0 {
			return replies[0]
		}
	}
	return ""
}

func begins(line, begin string) bool {
	return strings.HasPrefix(strings.ToUpper(line), strings.ToUpper(begin))
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	secure := false
	upgrade := func() bool {
		t := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.cert}})
		if t.Handshake() != nil {
			return false
		}
		c, secure = t, true
		return true
	}
	s.mu.Lock()
	atOnce := s.atOnce
	s.mu.Unlock()
	if atOnce && !upgrade() {
		return
	}
	in := bufio.NewReader(c)
	send := func(text string) bool {
		_, err := fmt.Fprint(c, text+"\r\n")
		return err == nil && !strings.HasPrefix(text, "421") && text != "" // "" closes without a word
	}
	next := func(usual, line string) (ok bool) {
		text, hang := s.reply(line)
		switch {
		case hang:
			_, _ = in.ReadByte() // until the other side goes
			return false
		case text == "close":
			return false
		case text != "":
			return send(text) && (line != "(greeting)" || text[0] == '2')
		}
		return send(usual)
	}
	if !next("220 test", "(greeting)") {
		return
	}
	var m mailbox
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.commands = append(s.commands, line)
		offers := append([]string{"test"}, s.offers...)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		usual := "250 ok"
		switch verb {
		case "EHLO":
			if !secure {
				offers = append(offers, "STARTTLS")
			}
			usual = ""
			for i, o := range offers {
				mark := "-"
				if i == len(offers)-1 {
					mark = " "
				}
				usual += "250" + mark + o + "\r\n"
			}
			usual = strings.TrimSuffix(usual, "\r\n")
		case "STARTTLS":
			if s.peek(line) == "" {
				if !send("220 go") || !upgrade() {
					return
				}
				in = bufio.NewReader(c)
				continue
			}
		case "AUTH":
			if s.peek(line) == "" && strings.HasPrefix(line, "AUTH LOGIN") {
				for _, ask := range []string{"Username:", "Password:"} {
					if !send("334 " + base64.StdEncoding.EncodeToString([]byte(ask))) {
						return
					}
					answer, _ := in.ReadString('\n')
					s.set(func() { s.commands = append(s.commands, strings.TrimSpace(answer)) })
				}
			}
			usual = "235 welcome"
		case "MAIL":
			m = mailbox{from: line, secure: secure}
		case "RCPT":
			if text := s.peek(line); text == "" || text[0] == '2' {
				m.to = append(m.to, strings.Trim(line[len("RCPT TO:"):], "<>"))
			}
		case "DATA":
			usual = "354 go"
		case "QUIT":
			usual = "221 bye"
		}
		if !next(usual, line) || verb == "QUIT" {
			return
		}
		if verb != "DATA" {
			continue
		}
		if text := s.peek("DATA"); text != "" && text[0] != '3' {
			continue
		}
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == ".\r\n" {
				break
			}
			m.text += strings.TrimPrefix(line, ".")
		}
		if text := s.peek("(end)"); text == "" || text[0] == '2' || text == "close" {
			s.set(func() { s.mails = append(s.mails, m) })
		}
		if !next("250 taken", "(end)") {
			return
		}
	}
}
