package redact

import "strings"

// A rank is how sure a name is that its value is a secret.
type rank uint8

const (
	public rank = iota
	// weak names are also words of everyday diagnosis: "invalid token: expired".
	weak
	strong
	// header names have a value of several words, to the end of its line.
	header
	// many names hold secrets if their value is a list or an object.
	many
	// routing keys are secrets if they look like one of PagerDuty.
	routing
)

// Names as [normalKey] writes them: a name that ends in one of them counts.
var (
	strongKeys = []string{
		"password", "passwd", "passwort", "pwd", "passphrase", "passcode", "passwordhash", "dbpass", "userpass",
		"secret", "secretvalue", "secretstring", "credential", "credentials", "connectionstring",
		"apikey", "accesskey", "secretkey", "privatekey", "signingkey", "encryptionkey", "authkey", "masterkey",
		"accountkey", "sharedkey", "storagekey", "subscriptionkey", "hmackey", "geniekey", "webhookurl", "slackurl",
	}
	weakKeys    = []string{"token", "dsn", "jwt", "csrf", "xsrf", "sessionid", "sessid"}
	headerKeys  = []string{"authorization", "cookie"}
	manyKeys    = []string{"passwords", "secrets", "apikeys", "cookies"}
	routingKeys = []string{"routingkey", "integrationkey", "servicekey"}
	// shortKeys are too short to be looked for at the end of other words.
	shortKeys = []string{"pass", "pw", "xauth"}
	// queryKeys are secret in the query of an address only.
	queryKeys = []string{"key", "sig", "signature", "sign", "code", "auth"}
)

// longestKey bounds what is looked at of a name: its end says what it is.
const longestKey = 64

// normalKey is a name in lower case, without what parts its words.
func normalKey(key string) string {
	key = strings.TrimRight(key, "0123456789")
	var buf [longestKey]byte
	return string(normalise(key, &buf))
}

func normalise(key string, buf *[longestKey]byte) []byte {
	key = key[max(0, len(key)-longestKey):]
	n := 0
	for i := range len(key) {
		if b := key[i]; b != '_' && b != '-' && b != ' ' {
			buf[n] = lower(b)
			n++
		}
	}
	return buf[:n]
}

// rankOf says what a name promises. It allocates nothing.
func (r *Redactor) rankOf(key string) rank {
	if dot := strings.LastIndexByte(key, '.'); dot >= 0 {
		key = key[dot+1:]
	}
	key = strings.TrimRight(key, "0123456789")
	if key == "" {
		return public
	}
	if r != nil && len(r.keys) > 0 {
		var buf [longestKey]byte
		if endsInAny(normalise(key, &buf), r.keys) {
			return strong
		}
	}
	switch lower(key[len(key)-1]) { // the last letters of all names above
	case 'b', 'c', 'i', 'j', 'k', 'm', 'o', 'q', 'u', 'v', 'x', 'z':
		return public
	}
	var buf [longestKey]byte
	k := normalise(key, &buf)
	switch {
	case endsInAny(k, strongKeys):
		return strong
	case endsInAny(k, headerKeys):
		return header
	case endsInAny(k, weakKeys):
		return weak
	case endsInAny(k, manyKeys):
		return many
	case endsInAny(k, routingKeys):
		return routing
	}
	for _, short := range shortKeys {
		if endsInWord(key, short) || string(k) == short {
			return strong
		}
	}
	return public
}

func endsInAny(k []byte, names []string) bool {
	for _, name := range names {
		if len(k) >= len(name) && string(k[len(k)-len(name):]) == name {
			return true
		}
	}
	return false
}

// endsInWord tells DB_PASS, db-pass and dbPass from bypass.
func endsInWord(key, lowercase string) bool {
	i := len(key) - len(lowercase)
	if i < 0 || !foldedPrefix(key[i:], lowercase) {
		return false
	}
	if i == 0 || key[i-1] == '_' || key[i-1] == '-' {
		return true
	}
	upper := func(b byte) bool { return 'A' <= b && b <= 'Z' }
	return upper(key[i]) && !upper(key[i-1])
}

// harmless values say that there is no secret, or where it is.
func harmless(value string) bool {
	switch value {
	case "", Mask, "true", "false", "null", "nil", "<nil>", "none", "None", "undefined", "[]", "{}", "map[]":
		return true
	}
	return reference(value)
}

// reference says whether a value begins with ${NAME}.
func reference(value string) bool {
	if !strings.HasPrefix(value, "${") {
		return false
	}
	i := 2
	for i < len(value) && i < longestKey && (isWord(value[i]) || value[i] == '_' || value[i] == '.') {
		i++
	}
	return i > 2 && i < len(value) && value[i] == '}'
}
