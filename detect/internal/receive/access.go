package receive

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/selfheal-go/selfheal/detect"
)

// AccessConfig is the part of a Config that says who may post at all.
type AccessConfig struct {
	Kind          string // as Guard sets it
	Bearer        detect.Secret
	BasicUser     string
	BasicPassword detect.Secret
	Secrets       []detect.Secret // more of Bearer, or of BasicPassword where that is set alone
	ClientCAs     *x509.CertPool
	Signed        bool // the body is signed: a proof of its own
	Insecure      bool
	Schemes       string       // what to set, for the error
	Log           *slog.Logger // as Guard sets it
}

// Access checks headers and client certificates. A request must satisfy all that
// is configured; Bearer and Basic, which share a header, count as one.
type Access struct {
	bearers, passwords [][sha256.Size]byte
	user               [sha256.Size]byte
	roots              *x509.CertPool
}

// Guard makes the door let in only whom the configuration lets in. The signature of
// a body it leaves to Prove.
func (e *Endpoint) Guard(c AccessConfig) error {
	c.Kind, c.Log = e.Kind, e.Log
	a, err := NewAccess(c)
	if a != nil {
		e.Admit, e.Challenge = a.Admit, a.Challenge()
	}
	return err
}

// NewAccess returns nil where nothing but the signature, or nothing at all, is
// to be checked, and an error for a configuration that proves nothing.
func NewAccess(c AccessConfig) (*Access, error) {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("detect/"+c.Kind+": "+format, args...)
	}
	a := &Access{roots: c.ClientCAs}
	var errs []error
	take := func(name string, s detect.Secret, to *[][sha256.Size]byte) {
		if err := checkSecret(name, s); err != nil {
			errs = append(errs, wrong("%w", err))
			return
		}
		*to = append(*to, sha256.Sum256([]byte(s)))
	}
	if c.Bearer != "" {
		take("Bearer", c.Bearer, &a.bearers)
	}
	if (c.BasicUser == "") != (c.BasicPassword == "") {
		errs = append(errs, wrong("BasicUser and BasicPassword belong together: set both, or neither"))
	} else if c.BasicPassword != "" {
		a.user = sha256.Sum256([]byte(c.BasicUser))
		take("BasicPassword", c.BasicPassword, &a.passwords)
	}
	if !c.Signed {
		more := &a.bearers
		if c.Bearer == "" && c.BasicPassword != "" {
			more = &a.passwords
		}
		for i, s := range c.Secrets {
			take(fmt.Sprintf("Secrets[%d]", i), s, more)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	nothing := a.bearers == nil && a.passwords == nil && a.roots == nil
	switch proof := !nothing || c.Signed; {
	case c.Insecure && proof:
		return nil, wrong("Insecure is set beside a proof of origin: drop one of them")
	case !c.Insecure && !proof:
		return nil, wrong("nothing proves where a request comes from: set %s, or Insecure where only friends can reach the handler", c.Schemes)
	case c.Insecure:
		log := c.Log
		if log == nil {
			log = slog.Default()
		}
		log.Warn("selfheal: a receiver is insecure: whoever reaches it can start what its alerts start", "receiver", c.Kind)
	}
	if nothing {
		return nil, nil
	}
	return a, nil
}

// checkSecret finds what reading a secret from a file or a variable leaves behind.
func checkSecret(name string, s detect.Secret) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is empty: set it, or leave it out", name)
	case strings.TrimSpace(string(s)) != string(s):
		return fmt.Errorf("%s begins or ends with white space, perhaps the end of a line: trim it", name)
	}
	return nil
}

// Challenge is the scheme of the Authorization that is expected.
func (a *Access) Challenge() string {
	switch {
	case a.bearers != nil:
		return "Bearer"
	case a.passwords != nil:
		return "Basic"
	}
	return "Mutual"
}

// Admit checks a request; nil lets it in.
func (a *Access) Admit(r *http.Request) *Verdict {
	if no := a.header(r); no != nil {
		return no
	}
	return a.peer(r)
}

func (a *Access) header(r *http.Request) *Verdict {
	if a.bearers == nil && a.passwords == nil {
		return nil
	}
	given := r.Header.Get("Authorization")
	if given == "" {
		return Refuse(http.StatusUnauthorized, NoProof, "the header Authorization is missing")
	}
	ok := 0
	if scheme, token, _ := strings.Cut(given, " "); strings.EqualFold(scheme, "Bearer") {
		ok = among(a.bearers, strings.TrimSpace(token))
	} else if user, password, basic := r.BasicAuth(); basic && a.passwords != nil {
		u := sha256.Sum256([]byte(user))
		ok = among(a.passwords, password) & subtle.ConstantTimeCompare(u[:], a.user[:])
	}
	if ok != 1 {
		return Refuse(http.StatusUnauthorized, WrongProof, "the header Authorization does not hold")
	}
	return nil
}

// among compares hashes, so that neither content nor length shows in the time.
func among(known [][sha256.Size]byte, given string) int {
	sum := sha256.Sum256([]byte(given))
	ok := 0
	for i := range known {
		ok |= subtle.ConstantTimeCompare(sum[:], known[i][:])
	}
	return ok
}

// peer checks the client certificate, which TLS has shown to be the peer's own,
// against the pool. It does not rely on the server to have done so: one that
// only asks for a certificate accepts any.
func (a *Access) peer(r *http.Request) *Verdict {
	if a.roots == nil {
		return nil
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return Refuse(http.StatusUnauthorized, NoProof, "a client certificate is missing: the server must ask for one (tls.RequestClientCert or stricter)")
	}
	between := x509.NewCertPool()
	for _, c := range r.TLS.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := r.TLS.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: between,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		no := Refuse(http.StatusUnauthorized, WrongProof, "the client certificate does not hold")
		no.Err = err
		return no
	}
	return nil
}
