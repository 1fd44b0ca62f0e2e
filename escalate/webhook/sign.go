package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

const (
	secretPrefix = "whsec_"
	leastSecret  = 24 // bytes; and at most 64: Standard Webhooks, "Signature scheme"
	mostSecret   = 64
	version      = "v1,"
)

// readSecret returns the key that a secret encodes.
func readSecret(s escalate.Secret) ([]byte, error) {
	encoded, ok := strings.CutPrefix(string(s), secretPrefix)
	if !ok {
		return nil, errors.New("does not begin with whsec_: give the secret as it was issued")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		// The error of base64 tells where, which nobody can use, and no more.
		return nil, errors.New("is no base64 after whsec_: give the secret as it was issued")
	}
	if len(key) < leastSecret || len(key) > mostSecret {
		return nil, fmt.Errorf("has %d bytes and not %d to %d: issue a new one", len(key), leastSecret, mostSecret)
	}
	return key, nil
}

// Sign returns the value of webhook-signature for one secret: "v1," and the
// HMAC-SHA256 of "id.timestamp.body" in base64. at counts in whole seconds. It is
// for tests of receivers; a [Notifier] signs by itself.
func Sign(secret escalate.Secret, id string, at time.Time, body []byte) (string, error) {
	key, err := readSecret(secret)
	if err != nil {
		return "", fmt.Errorf("webhook: the secret %w", err)
	}
	return sign(key, id, at, body), nil
}

func sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return version + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func signatures(keys [][]byte, id string, at time.Time, body []byte) string {
	all := make([]string, len(keys))
	for i, key := range keys {
		all[i] = sign(key, id, at, body)
	}
	return strings.Join(all, " ")
}
