package receive

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// Skew is how far the clocks of sender and receiver may differ.
const Skew = 5 * time.Minute

// Keys are the secrets of a signature. All of them are accepted, which is what a
// rotation needs.
type Keys [][]byte

// NewKeys collects the secrets of a Config as read makes them.
func NewKeys(kind string, one detect.Secret, more []detect.Secret, read func(detect.Secret) ([]byte, error)) (Keys, error) {
	var keys Keys
	add := func(name string, s detect.Secret) error {
		if err := checkSecret(name, s); err != nil {
			return fmt.Errorf("detect/%s: %w", kind, err)
		}
		key := []byte(s)
		if read != nil {
			var err error
			if key, err = read(s); err != nil {
				return fmt.Errorf("detect/%s: %s: %w", kind, name, err)
			}
		}
		keys = append(keys, key)
		return nil
	}
	if one != "" {
		if err := add("HMACSecret", one); err != nil {
			return nil, err
		}
	}
	for i, s := range more {
		if err := add(fmt.Sprintf("Secrets[%d]", i), s); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Holds says whether mac is the HMAC-SHA256 of the parts, one after the other,
// under one of the keys.
func (k Keys) Holds(mac []byte, parts ...[]byte) bool {
	ok := false
	for _, key := range k {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		var sum [sha256.Size]byte
		ok = hmac.Equal(h.Sum(sum[:0]), mac) || ok
	}
	return ok
}

// BodySignature is a hexadecimal HMAC-SHA256 of the body in a header, or, where
// TimeHeader is set, of the Unix time in that header, a colon, and the body.
type BodySignature struct {
	Keys       Keys
	Headers    []string // the first that is there counts
	Prefix     string   // before the digits, may be left out: "sha256="
	TimeHeader string
	Window     time.Duration
}

// Prove checks the signature and then the time that it covers.
func (s *BodySignature) Prove(m *Message) *Verdict {
	given := ""
	for _, name := range s.Headers {
		if given = m.Header.Get(name); given != "" {
			break
		}
	}
	if given == "" {
		return Refuse(http.StatusUnauthorized, NoProof, "the header "+s.Headers[0]+" is missing")
	}
	wrong := Refuse(http.StatusUnauthorized, WrongProof, "the signature does not hold")
	mac, err := hex.DecodeString(strings.TrimPrefix(strings.TrimSpace(given), s.Prefix))
	if err != nil {
		return wrong
	}
	if s.TimeHeader == "" {
		if !s.Keys.Holds(mac, m.Body) {
			return wrong
		}
		return nil
	}
	stamp := m.Header.Get(s.TimeHeader)
	if stamp == "" {
		return Refuse(http.StatusUnauthorized, NoProof, "the header "+s.TimeHeader+" is missing")
	}
	if !s.Keys.Holds(mac, []byte(stamp), []byte{':'}, m.Body) {
		return wrong
	}
	return m.SignedAt(stamp, s.Window)
}

// SignedAt notes the time that a signature covers, in Unix seconds, and refuses
// one that is outside the window.
func (m *Message) SignedAt(stamp string, window time.Duration) *Verdict {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return Refuse(http.StatusUnauthorized, WrongProof, "the time that is signed is no Unix time in seconds")
	}
	m.Signed = time.Unix(seconds, 0)
	return InWindow(m.Signed, m.Came, window)
}

// InWindow refuses what was signed longer ago than the window, or in the future.
func InWindow(signed, came time.Time, window time.Duration) *Verdict {
	switch age := came.Sub(signed); {
	case age > window:
		return Refuse(http.StatusForbidden, Replayed, "it was signed too long ago: "+age.Round(time.Second).String()+", and "+window.String()+" is allowed")
	case age < -Skew:
		return Refuse(http.StatusForbidden, Replayed, "it was signed in the future: check the clocks")
	}
	return nil
}

// Window resolves a Config's ReplayWindow. least is the span over which the
// sender repeats what it signed once.
func Window(kind string, given, least time.Duration) (time.Duration, error) {
	switch {
	case given == 0:
		return least + Skew, nil
	case given < least:
		return 0, fmt.Errorf("detect/%s: ReplayWindow is %v: the sender repeats what it signed for %v, so use at least that, or 0 for %v", kind, given, least, least+Skew)
	}
	return given, nil
}
