package redact

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzString(f *testing.F) {
	for name := range canaries {
		f.Add("x "+canaries[name]+" y", "hunter2-canary")
	}
	for _, text := range []string{
		`{"password":"a\"b","token":12,"x":["api_key=1"]}`, "postgres://u:p@h/d?password=x&key=y", "Authorization: Bearer a.b.c\nCookie: a=b; c=d",
		"map[secret:map[a:[b]]", "--token 'x y' <password>z</password>", "a:b@tcp(c)", "https://h/hooks/0123456789abcdef/x", "password=a,b;c&d)e}f=1", "***=***:***", `\"password\":\"\\\"`,
		"https://a:b@c:d@e/f@g", "token:token:token=token", "routing_key='0123456789abcdef0123456789abcdef'", "a***b", "password:[{]}", "1234567:abcdefghijklmnopqrstuvwxyz012345678",
	} {
		f.Add(text, "a***b")
	}
	f.Fuzz(func(t *testing.T, text, secret string) {
		for _, r := range []*Redactor{nil, New(Options{Secrets: []string{secret}, Keys: []string{"licence"}})} {
			got := r.String(text)
			if again := r.String(got); again != got {
				t.Fatalf("%q became %q and then %q", text, got, again)
			}
			if utf8.ValidString(text) && utf8.ValidString(secret) && !utf8.ValidString(got) {
				t.Fatalf("%q became %q, which is not UTF-8", text, got)
			}
			if len(got) > 5*len(text)+16 {
				t.Fatalf("%q grew to %d bytes", text, len(got))
			}
			doc := []byte(text)
			if json.Valid(doc) && !json.Valid(r.JSON(doc)) {
				t.Fatalf("%s became %s", doc, r.JSON(doc))
			}
		}
	})
}

// A known secret does not survive, wherever it stands and however it is written.
func FuzzKnownSecret(f *testing.F) {
	f.Add("hunter2-canary", "password=", " after")
	f.Add(`a"b\c/d<e>`, `{"x":"`, `"}`)
	f.Add("äöü€𝄞", "\xc3", "\xa4")
	f.Add("line\nline two of the secret", "\\", "\\")
	f.Add("abcabcabc", "abc", "abcabc")
	f.Add("***x", "secret=", "x")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		secret = strings.TrimSpace(secret)
		if len(secret) < leastKnown || strings.Contains(Mask+Mask, secret) {
			t.Skip()
		}
		r := New(Options{Secrets: []string{secret}})
		quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
		check := func(what, text, not string) {
			if got := r.String(text); strings.Contains(got, not) {
				t.Fatalf("%s: %q in %q became %q", what, secret, text, got)
			}
		}
		check("plain", before+secret+after, secret)
		check("quoted", before+strconv.Quote(secret)+after, secret)
		if !utf8.ValidString(secret) {
			return
		}
		inner := strings.Trim(quote(secret), `"`)
		if strings.HasPrefix(secret, `"`) || strings.HasSuffix(secret, `"`) || len(inner) < leastKnown {
			return
		}
		check("JSON", before+quote(secret)+after, inner)
		once := quote("x" + secret + "y")
		twice := quote(once)
		check("JSON in JSON", twice, strings.Trim(quote(inner), `"`))
		if len(secret) >= 6 {
			code := base64.StdEncoding.EncodeToString([]byte(before + secret + after))
			if got := r.String(code); got == code && !strings.Contains(got, Mask) {
				t.Fatalf("base64: %q in %q stays", secret, code)
			}
		}
		out, err := json.Marshal(r.Any(map[string]any{"a": before + secret + after, secret: []any{secret, map[string]string{"b": secret}}}))
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]any
		if json.Unmarshal(out, &back) != nil {
			t.Fatalf("%s is not JSON", out)
		}
		for k := range back {
			if strings.Contains(k, secret) {
				t.Fatalf("%q is in a name of %s", secret, out)
			}
		}
	})
}
