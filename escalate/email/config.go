package email

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Config says how mail is sent. Addr, From and To are required.
type Config struct {
	// Addr is the server, as host:port: 587 for submission, 465 for submission
	// under TLS, 25 for a relay.
	Addr string
	// From is the sender, with or without a name: "Orders <healing@example.com>".
	// Its domain is that of the Message-ID.
	From string
	// To are the recipients, in one mail. They see each other.
	To []string
	// Username and Password log in, both or neither. They are sent under TLS only.
	Username string
	Password escalate.Secret
	// TLS says when the connection is encrypted. The zero value requires it.
	TLS TLS
	// RootCAs verify the server. nil means those of the system, or of TLSConfig.
	RootCAs *x509.CertPool
	// TLSConfig is for client certificates and the like; it is copied. nil means
	// TLS 1.2 or later, with the host of Addr as the server's name.
	TLSConfig *tls.Config
	// Hello is the name of this machine, in the greeting. "" means its host name,
	// or "localhost" where that is none.
	Hello string
	// Timeout bounds one delivery, within the time that its context has. 0 means
	// 30 s, -1 means the time of the context alone.
	Timeout time.Duration
	// Logger is told of recipients that were refused while others got the mail.
	// nil means slog.Default at that time.
	Logger *slog.Logger
}

// TLS says when a connection is encrypted.
type TLS uint8

const (
	// TLSRequired is TLS at once on port 465 and STARTTLS on any other. A server
	// that does not offer STARTTLS gets no mail.
	TLSRequired TLS = iota
	// TLSAtOnce is TLS from the first byte, on any port.
	TLSAtOnce
	// TLSNone is never: a relay on the same machine, say. Whoever is on the way
	// can read and change the mail. A login is refused.
	TLSNone
)

var tlsNames = []string{"required", "at once", "none"}

// String returns "required", "at once" or "none".
func (t TLS) String() string {
	if int(t) < len(tlsNames) {
		return tlsNames[t]
	}
	return fmt.Sprintf("tls(%d)", uint8(t))
}

const defaultTimeout = 30 * time.Second

// settings are a Config that was read.
type settings struct {
	addr, host string
	from       *mail.Address
	to         []*mail.Address
	username   string
	password   string
	atOnce     bool
	startTLS   bool
	tls        *tls.Config
	hello      string
	timeout    time.Duration
	log        *slog.Logger
}

func (c Config) read() (*settings, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("email: "+format, args...)) }
	s := &settings{addr: c.Addr, username: c.Username, password: string(c.Password), hello: c.Hello, timeout: c.Timeout, log: c.Logger}

	host, port, err := net.SplitHostPort(c.Addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || perr != nil || n == 0 {
		bad(`Addr %q is not host:port: write it as "smtp.example.com:587"`, c.Addr)
	}
	s.host = host
	if s.from, err = address(c.From); err != nil {
		bad("From %q %v", c.From, err)
	}
	if len(c.To) == 0 {
		bad("To is empty: name a recipient")
	}
	seen := map[string]bool{}
	for _, to := range c.To {
		a, err := address(to)
		switch {
		case err != nil:
			bad("To %q %v", to, err)
		case seen[a.Address]:
			bad("To names %s twice: keep it once", a.Address)
		default:
			seen[a.Address] = true
			s.to = append(s.to, a)
		}
	}
	if (c.Username == "") != (c.Password == "") {
		bad("Username and Password belong together: set both, or neither")
	}
	if strings.ContainsAny(c.Username+string(c.Password), "\x00\r\n") {
		bad("Username or Password holds a line break or a NUL: is one left at the end of the file that it was read from?")
	}
	c.readTLS(s, port, bad)
	if s.hello == "" {
		s.hello = hostname()
	}
	if strings.ContainsFunc(s.hello, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		bad("Hello %q is no host name: use letters, digits, dashes and dots", c.Hello)
	}
	switch {
	case c.Timeout == 0:
		s.timeout = defaultTimeout
	case c.Timeout < -1:
		bad("Timeout is %v: use a duration, 0 for %v, or -1 for the time of the context", c.Timeout, defaultTimeout)
	}
	return s, errors.Join(errs...)
}

func (c Config) readTLS(s *settings, port string, bad func(string, ...any)) {
	switch c.TLS {
	case TLSRequired:
		s.atOnce = port == "465"
		s.startTLS = !s.atOnce
	case TLSAtOnce:
		s.atOnce = true
	case TLSNone:
		if c.Username != "" {
			bad("a login would be sent in the clear: remove TLSNone, or Username and Password")
		}
		if c.RootCAs != nil || c.TLSConfig != nil {
			bad("RootCAs and TLSConfig mean nothing beside TLSNone: remove them, or TLSNone")
		}
	default:
		bad("TLS is %v: use TLSRequired, TLSAtOnce or TLSNone", c.TLS)
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSConfig != nil {
		s.tls = c.TLSConfig.Clone()
	}
	if c.RootCAs != nil {
		if s.tls.RootCAs != nil {
			bad("RootCAs is set, and TLSConfig.RootCAs too: keep one of them")
		}
		s.tls.RootCAs = c.RootCAs
	}
	if s.tls.ServerName == "" {
		s.tls.ServerName = s.host
	}
	if s.tls.InsecureSkipVerify && s.tls.VerifyConnection == nil && s.tls.VerifyPeerCertificate == nil {
		bad("TLSConfig.InsecureSkipVerify lets anybody be the server: set RootCAs to the certificate of the server instead")
	}
}

func address(s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return nil, errors.New(`is no address: write it as "oncall@example.com"`)
	}
	bare := mail.Address{Address: a.Address}
	if bare.String() != "<"+a.Address+">" || strings.ContainsFunc(a.Address, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("has characters that not every server takes: use ASCII without blanks and quotes, and the xn-- form of the domain")
	}
	return a, nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.')
	}) {
		return "localhost"
	}
	return name
}
