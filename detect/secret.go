package detect

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
)

// A Secret is a token, a password or an address that is a credential: the type
// of such fields in the configurations of receivers and notifiers. However it
// is printed, logged or encoded, it reads "***"; string(s) is its value.
//
// An empty one prints as "", so that a missing secret can be seen.
type Secret string

const masked = "***"

// String returns "***", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format makes every verb of fmt say what String does; %q and %#v quote it.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		fmt.Fprintf(f, "%q", s.String())
		return
	}
	fmt.Fprint(f, s.String())
}

// LogValue makes a log say what String does.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText makes every encoding say what String does.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON makes JSON say what String does.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalText reads a secret from a configuration. "***" is an error: it is
// what an earlier one was printed as, and not the secret.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == masked {
		return errors.New(`detect: "***" is how a secret is printed, not the secret: give its value`)
	}
	*s = Secret(text)
	return nil
}
