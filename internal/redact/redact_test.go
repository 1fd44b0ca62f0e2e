package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// canaries are credentials of each shape. Letters are repeated so that none is a
// real one, and the long ones are put together, so that no scanner takes this
// file for a leak.
var canaries = map[string]string{
	"AWS":           "AKIA" + "CANARYCANARY1234",
	"AWS temporary": "ASIA" + "CANARYCANARY1234",
	"GitHub":        "ghp_" + strings.Repeat("Canary12", 5)[:36],
	"GitHub fine":   "github_pat_" + strings.Repeat("Canary_12", 8),
	"GitLab":        "glpat-" + "Canary-12_canary-123",
	"Slack bot":     "xoxb-" + "123456789012-canaryCanary12",
	"Slack app":     "xapp-" + "1-A0CANARY-12-canary",
	"JWT":           "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJjYW5hcnkifQ" + ".c2lnbmF0dXJlLWNhbmFyeQ",
	"webhook":       "whsec_" + "Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5",
	"AI":            "sk-" + "proj-Canary12Canary34Canary56",
	"Stripe":        "sk_live_" + "Canary12Canary34Canary56",
	"Google":        "AIza" + strings.Repeat("Canary1", 5),
	"SendGrid":      "SG." + "Canary12Canary34Canar." + strings.Repeat("Canary1", 6),
	"npm":           "npm_" + strings.Repeat("Canary12", 5)[:36],
	"Vault":         "hvs." + strings.Repeat("Canary12", 4),
	"Telegram":      "1234567890:" + strings.Repeat("Canary1", 5),
	"PEM":           "-----BEGIN RSA PRIVATE KEY-----\nMIICanary\ncanary12==\n-----END RSA PRIVATE KEY-----",
}

// around are the places of a text in which a token may stand.
var around = []string{
	"%s", "token %s used", "(%s)", "[%s]", "{%s}", `"%s"`, "'%s'", "`%s`", "<%s>", "a,%s,b", "a;%s;b", "x=%s", "x: %s, y", "/%s/", "id_%s",
	"https://host/%s", "https://host/?x=%s&y=1", "line\n%s\nline", "\t%s\t", "ö%sö", "\xff%s\xff", `{"a":"%s"}`, `\"%s\"`, "***%s***", "…%s…", "%s.", "%s,", "%s:", "%s %[1]s",
}

func TestTokensOfEachShapeInEveryPlace(t *testing.T) {
	var r *Redactor
	for name, token := range canaries {
		for _, place := range around {
			text := fmt.Sprintf(place, token)
			got := r.String(text)
			require.NotContains(t, strings.ToLower(got), "canary", "%s in %q", name, text)
			require.Contains(t, got, Mask)
			require.Equal(t, got, r.String(got))
		}
		require.Equal(t, "before *** after", r.String("before "+token+" after"), name)
		// Within JSON, and what fmt prints of it.
		doc, err := json.Marshal(map[string]any{"a": token, "b": []string{token}, "c": map[string]string{"d": "x " + token + " y"}})
		require.NoError(t, err)
		for _, text := range []string{string(doc), fmt.Sprintf("%q", doc), fmt.Sprintf("%+v", struct{ A, B string }{token, token}), fmt.Sprintf("%#v", []string{token})} {
			require.NotContains(t, strings.ToLower(r.String(text)), "canary", "%s in %s", name, text)
		}
		require.True(t, json.Valid(r.JSON(doc)))
	}
}

var secretKeys = []string{
	"password", "PASSWORD", "passwd", "pwd", "db_password", "DB_PASS", "dbPass", "spring.datasource.password", "passphrase", "password2",
	"secret", "client_secret", "clientSecret", "SECRET_KEY", "token", "access_token", "accessToken", "X-Auth-Token", "api_key", "apikey", "api-key", "X-Api-Key",
	"aws_secret_access_key", "private_key", "privateKey", "signing_key", "credentials", "jwt", "csrf", "session_id", "sessionId", "dsn", "DATABASE_DSN", "connectionString", "webhook_url", "GenieKey",
}

func TestValuesUnderSecretNames(t *testing.T) {
	r := New(Options{Keys: []string{"Licence-Key", ""}})
	for _, key := range append(secretKeys, "licence_key", "licenceKey", "OUR_LICENCE_KEY") {
		for _, place := range []string{
			"%s=canary1", "%s: canary1", "%s:canary1", "%s = canary1", "%s := canary1", "%s => canary1", "%s==canary1", `%s="canary1"`, `%s='can ary1'`, "%s=`canary1`",
			`{"%s":"canary1"}`, `{"%s": "can ary1", "b": 1}`, `{"%s":["canary1","canary2"]}`, `{"%s":{"a":"canary1"}}`, `{\"%s\":\"canary1\"}`, `{\\\"%s\\\":\\\"can\\\\\\\"ary1\\\"}`,
			`{"%s":"a\"canary1"}`, `{"%s":"a\\"}`, "{'%s': 'canary1'}", "map[%s:canary1 b:2]", "map[%s:[canary1 canary2] b:2]", "{%s:canary1 B:2}", `{%s:"canary1", B:2}`, `m["%s"]="canary1"`,
			"?a=1&%s=canary1&b=2", "https://host/x?%s=canary1", "a=1;%s=canary1;b=2", "a=1, %s=canary1, b=2", "(%s=canary1)", "--%s canary1", "--%s=canary1", "--%s 'can ary1'", "<%s>canary1</%[1]s>", "<ns:%s>canary1</ns:%[1]s>",
			"%s=p,canary1", "%s=p;canary1;", "%s=p&canary1", "%s=)canary1", `%s=\canary1`, "%s=<nil>&%[1]s=canary1", "\n%s: canary1\n", "%s=" + "-----BEGIN PRIVATE KEY-----\ncanary1\n-----END PRIVATE KEY-----",
			"%s: canary1 is wrong", "ö%s=canary1ö", "%s=\"canary1", `x="%s=canary1"`, `{"msg":"%s=canary1 failed"}`,
		} {
			text := fmt.Sprintf(place, key)
			got := r.String(text)
			for _, left := range []string{"canary", "ary1"} {
				require.NotContains(t, got, left, "%q became %q", text, got)
			}
			require.Equal(t, got, r.String(got), "%q", text)
		}
	}
	// What stands around stays.
	for text, want := range map[string]string{
		"user=bob password=canary host=db":                                             "user=bob password=*** host=db",
		"user=bob;password=canary;host=db":                                             "user=bob;password=***;host=db",
		`{"user":"bob","password":"canary","port":1}`:                                  `{"user":"bob","password":"***","port":1}`,
		`{"password":12345,"port":1}`:                                                  `{"password":"***","port":1}`,
		`{\"password\":12345,\"port\":1}`:                                              `{\"password\":\"***\",\"port\":1}`,
		"map[Authorization:[Bearer canary] Host:[a]]":                                  "map[Authorization:*** Host:[a]]",
		"Authorization: Bearer canary\r\nHost: a":                                      "Authorization: ***\r\nHost: a",
		"Authorization: Digest username=\"a\", x=b\nH:":                                "Authorization: ***\"a\", x=b\nH:",
		"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=canary\nHost: a": "Authorization: ***\nHost: a",
		"Proxy-Authorization: canary":                                                  "Proxy-Authorization: ***",
		"Cookie: a=canary; b=canary\nHost: a":                                          "Cookie: ***\nHost: a",
		"Set-Cookie: sid=canary; Path=/":                                               "Set-Cookie: ***",
		`cookie="a=b; c=d" host=a`:                                                     `cookie="***" host=a`,
		"routing_key=" + strings.Repeat("a1", 16):                                      "routing_key=***",
		`"routing_key":"` + strings.Repeat("A1", 16) + `"`:                             `"routing_key":"***"`,
		"Bearer abc123def: expired":                                                    "Bearer ***: expired",
		"Basic dXNlcjpjYW5hcnk= sent":                                                  "Basic *** sent",
		"GET /x?key=canary&n=1&sig=canary":                                             "GET /x?key=***&n=1&sig=***",
	} {
		require.Equal(t, want, r.String(text))
	}
}

func TestAddresses(t *testing.T) {
	r := New(Options{})
	for text, want := range map[string]string{
		"https://bob:canary@host:8080/path?q=1":                                     "https://***@host:8080/path?q=1",
		"postgres://app:can/ary@db/orders":                                          "postgres://***@db/orders",
		"postgres://app:c@n@db/orders":                                              "postgres://***@db/orders",
		"https://canary@o1.ingest.example/1":                                        "https://***@o1.ingest.example/1",
		"redis://:canary@cache:6379/0":                                              "redis://***@cache:6379/0",
		"mongodb://u:canary@a:1,b:2/x":                                              "mongodb://***@a:1,b:2/x",
		"app:canary@tcp(db:3306)/orders":                                            "***@tcp(db:3306)/orders",
		"dial app:canary@unix(/run/my.sock)/x: failed":                              "dial ***@unix(/run/my.sock)/x: failed",
		`Post "https://hooks.slack.com/services/T0CANARY/B0CANARY/canary": timeout`: `Post "https://hooks.slack.com/***": timeout`,
		"POST /services/T0CANARY1/B0CANARY1/canaryCANARY1234 404":                   "POST /*** 404",
		"https://discord.com/api/webhooks/1234/canary":                              "https://discord.com/***",
		"https://x.webhook.office.com/webhookb2/canary":                             "https://x.webhook.office.com/***",
		"https://hc-ping.com/0f4ee7a2-0d32-4a36-a3c1-0f36f5a4d7f0/start":            "https://hc-ping.com/***",
		"https://chat.example/hooks/canary1canary1canary1":                          "https://chat.example/hooks/***",
		"https://api.telegram.org/bot123456:canary-canary/sendMessage":              "https://api.telegram.org/***/sendMessage",
		"https://ifttt.example/with/token/canary1234":                               "https://ifttt.example/with/token/***",
		"https://host/api/v1/Canary1xCanary2yCanary3z/run?x=1":                      "https://host/api/v1/***/run?x=1",
		"see <https://u:canary@host/a>, or https://v:canary@host/b":                 "see <https://***@host/a>, or https://***@host/b",
	} {
		got := r.String(text)
		require.Equal(t, want, got)
		require.Equal(t, got, r.String(got))
		require.Equal(t, strings.ToUpper(want[:4]), strings.ToUpper(got[:4]))
	}
}

// What a person reads to find the fault stays as it is.
func TestDiagnosisStaysReadable(t *testing.T) {
	r := New(Options{Secrets: []string{"hunter2-canary", "abc", ""}})
	for _, text := range []string{
		"", "***", "password=***", `"password":"***"`, "https://***@host/", "Authorization: ***", "Cookie: ***",
		"9000 jobs is above 5000", "5m0s step scale-workers: no effect", "took 1m30.5s, 3 tries, 12:30:45.123456Z",
		"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "commit b02091e5f7a6c3d2e1f0a9b8c7d6e5f4a3b2c1d0", "etag: \"5d41402abc4b2a76b9719d911017c592\"",
		"0f4ee7a2-0d32-4a36-a3c1-0f36f5a4d7f0", "https://host/incidents/0f4ee7a2-0d32-4a36-a3c1-0f36f5a4d7f0", "https://host/sha/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"incident orders-7/shed/2/undo", "orders/queue-depth[eu]: 9000 is above 5000", "trace 4bf92f3577b34da6a3ce929d0e0e4736",
		"goroutine 12 [chan receive, 5 minutes]:\nmain.(*Token).Validate(0xc000123456, {0x1, 0x2})\n\t/srv/auth/token.go:42 +0x1b5\ncreated by net/http.(*Server).Serve in goroutine 1\n\t/usr/local/go/src/net/http/server.go:3285 +0x4b4",
		"/etc/passwd:5", "/var/run/secrets/kubernetes.io/serviceaccount/token", "open /etc/ssl/private/server.key: permission denied", "password.go:17: undefined: x", `C:\Program Files\token\x.exe`,
		"dial tcp 10.0.0.7:5432: connect: connection refused", "[::1]:8080", "auth-token:8080", "http://token:8080/health", "session:6379", "redis://cache:6379/0", "https://registry.example/@scope/pkg@1.2.3", "https://host:8443/@bob",
		"PWD=/home/app", "OLDPWD=/srv", "password_file=/run/secrets/db", "token_ttl=5m", "max_tokens=4096", "tokens: 5000", "token_bucket=7", "passwordless=true", "bypass=12 compass=3", "has_password=true", `{"password":null}`, `{"token":""}`, "password=<nil>", "secret=${DB_SECRET}",
		"invalid token: signature has expired", "parse token: unexpected end of input", "pq: password authentication failed for user \"app\"", `secrets "db" not found`, "basic authentication is required", "the bearer token is missing", "Bearer authentication", "Basic auth failed",
		"key=orders", "dedup_key=orders-7", "routing_key=orders.created", "routing_key: orders.*.eu", "idempotency_key=orders-7/shed", "partition key: 7", "keyboard=x", "primary_key=id",
		"sk-learn-is-a-library-for-machine-learning", "skip-this-very-long-hyphenated-identifier", "eyJust a word", "AKIASHORT", "ghp_short", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"https://runbooks.example/queue-depth", "https://github.com/org/repo/pull/1234#issuecomment-1", "https://host/Report-2024-01-02-Final-Version", "https://host/MyVeryLongClassNameForHandlers", "https://host/hooks/", "file:///opt/app/hooks/pre-commit-checks-and-more",
		"user@host.example", "a@b(c)", "<b>bold</b>", "x > y", "a => b", "if a == b", `"a": "b"`, "http_requests_total{code=\"500\",handler=\"/x\"} 7", "code=500 status=7 auth=failed signature=v2", "hint: use -password or --token-file x",
		"LISTEN 0 128 127.0.0.1:6060", "cpu: 93.5%", "1 token, 2 secrets", "https://a.example/x=1:2@3",
	} {
		require.Equal(t, text, r.String(text))
	}
}

func TestKnownSecretsInEveryForm(t *testing.T) {
	for _, secret := range []string{"hunter2-canary", `pa"ss\wo/rd<&> ö`, "with space\tand tab", "äöü€𝄞-secret", "s3cr/et+==", "1234", "p%40ss%2F"} {
		r := New(Options{Secrets: []string{secret}})
		quote := func(s string) string { b, err := json.Marshal(s); require.NoError(t, err); return string(b) }
		forms := []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), strings.ToLower(url.QueryEscape("/")+url.PathEscape("x")) + url.QueryEscape(secret),
			quote(secret), quote(quote(secret)), strconv.Quote(secret), strconv.QuoteToASCII(secret), html.EscapeString(secret), fmt.Sprintf("%+v", struct{ S string }{secret}),
			hex.EncodeToString([]byte(secret)), url.UserPassword("bob", secret).String(),
		}
		if len(secret) > 5 {
			for _, before := range []string{"", "u", "us", "use", "bob:"} {
				forms = append(forms, base64.StdEncoding.EncodeToString([]byte(before+secret+"!")), base64.URLEncoding.EncodeToString([]byte(before+secret)))
			}
		}
		for _, form := range forms {
			for _, place := range []string{"%s", "x%sy", "/%s/", "é%sé", "\xc3%s\xa9", "=%s=", "%s%[1]s"} {
				text := fmt.Sprintf(place, form)
				got := r.String(text)
				require.Contains(t, got, Mask, "%q in %q", secret, text)
				require.NotContains(t, got, secret)
				if len(form) > 12 {
					require.NotContains(t, got, form)
				}
				require.Equal(t, got, r.String(got))
			}
		}
	}
}

func TestKnownSecretsOfSeveralParts(t *testing.T) {
	r := New(Options{Secrets: []string{
		" spaced-secret\n",
		"-----BEGIN THING-----\nfirst-line-of-the-key\nsecond-line-of-the-key\n-----END THING-----",
		"https://chat.example/in/T0/B0/canary?x=1",
		"amqp://app:rabbit-canary@mq/",
		"outer-inner-secret", "inner", "*x*y", "a***b",
	}})
	for text, want := range map[string]string{
		"spaced-secret":                          "***",
		"log: first-line-of-the-key":             "log: ***",
		"-----BEGIN THING----- x":                "-----BEGIN THING----- x",
		"POST /in/T0/B0/canary?x=1 404":          "POST *** 404",
		"login app rabbit-canary":                "login app ***",
		"outer-inner-secret and inner":           "*** and ***",
		"innerinner":                             "******",
		"a***b":                                  "***",
		"ainnerb":                                "***",
		"first-line-of-the-keyfirst-line-of-the": "***first-line-of-the",
	} {
		require.Equal(t, want, r.String(text))
		require.Equal(t, want, r.String(want))
	}
}

func TestWhatIsTooLongIsStillHidden(t *testing.T) {
	var r *Redactor
	long := strings.Repeat("canary1", 10_000)
	for _, text := range []string{"password=" + long, `{"password":"` + long + `"}`, "Bearer " + long, "ghp_" + long, "Cookie: " + long, "https://host/hooks/" + long, `{"secrets":["` + long + `"]}`, strings.Repeat("x", 100) + "_password=" + long} {
		require.Less(t, len(r.String(text)), 150)
		require.NotContains(t, r.String(text), "canary")
	}
}

func TestTextsInPlace(t *testing.T) {
	var r *Redactor
	h := http.Header{"Authorization": {"Bearer canary"}, "X-Api-Key": {"canary"}, "Accept": {"*/*"}}
	a, b := fmt.Sprint(h), "fine"
	r.Strings(&a, &b)
	require.Equal(t, "map[Accept:[*/*] Authorization:*** X-Api-Key:***]", a)
	require.Equal(t, "fine", b)
	raw := []byte("password=canary")
	require.Equal(t, "password=***", string(r.Bytes(raw)))
	require.Equal(t, "password=canary", string(raw), "the caller's bytes are the caller's")
	same := []byte("fine")
	require.Same(t, &same[0], &r.Bytes(same)[0])
}
