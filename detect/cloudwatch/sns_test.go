package cloudwatch_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect/cloudwatch"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
)

const (
	topic   = "arn:aws:sns:eu-west-1:123456789012:alarms"
	certURL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
)

// sns is a strict double: it signs as SNS does, and serves its certificate and
// confirmations to the client that it hands out.
type sns struct {
	key   *rsa.PrivateKey
	roots *x509.CertPool

	mu      sync.Mutex
	pem     []byte
	answer  func(*http.Request) (*http.Response, error) // nil: as SNS does
	visited []string
}

// authority has one root and one key for all tests: making them takes long.
type authority struct {
	root    *x509.Certificate
	rootKey *rsa.PrivateKey
	key     *rsa.PrivateKey
}

var newAuthority = sync.OnceValue(func() *authority {
	a := &authority{}
	var err error
	if a.rootKey, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		panic(err)
	}
	if a.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root", Organization: []string{"Amazon"}},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.rootKey.PublicKey, a.rootKey)
	if err != nil {
		panic(err)
	}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		panic(err)
	}
	return a
})

// leaf makes a certificate of SNS, as change has it.
func (a *authority) leaf(tb testing.TB, change func(*x509.Certificate)) []byte {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, DNSNames: []string{"sns.amazonaws.com"},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.root, &a.key.PublicKey, a.rootKey)
	require.NoError(tb, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newSNS(tb testing.TB) *sns {
	a := newAuthority()
	s := &sns{key: a.key, roots: x509.NewCertPool(), pem: a.leaf(tb, nil)}
	s.roots.AddCert(a.root)
	return s
}

// RoundTrip plays Amazon's side.
func (s *sns) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visited = append(s.visited, r.Method+" "+r.URL.String())
	if s.answer != nil {
		return s.answer(r)
	}
	switch {
	case r.URL.String() == certURL:
		return reply(200, string(s.pem)), nil
	case r.URL.Query().Get("Action") == "ConfirmSubscription" && r.URL.Query().Get("Token") == "canary-token":
		return reply(200, "<ConfirmSubscriptionResponse/>"), nil
	}
	return reply(404, "no"), nil
}

func reply(code int, body string) *http.Response {
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

func (s *sns) visits() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.visited)
}

func (s *sns) client() *http.Client { return &http.Client{Transport: s} }

// sign completes a message; version 1 is what a topic has unless set.
func (s *sns) sign(tb testing.TB, m map[string]string) map[string]string {
	for k, v := range map[string]string{
		"MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": topic, "SignatureVersion": "1", "SigningCertURL": certURL,
		"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
	} {
		if _, ok := m[k]; !ok {
			m[k] = v
		}
	}
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if m["Type"] != "Notification" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	text := ""
	for _, n := range names {
		if v, ok := m[n]; ok {
			text += n + "\n" + v + "\n"
		}
	}
	hash, sum := crypto.SHA1, []byte(nil)
	if m["SignatureVersion"] == "1" {
		h := sha1.Sum([]byte(text))
		sum = h[:]
	} else {
		h := sha256.Sum256([]byte(text))
		hash, sum = crypto.SHA256, h[:]
	}
	signature, err := rsa.SignPKCS1v15(nil, s.key, hash, sum)
	require.NoError(tb, err)
	m["Signature"] = base64.StdEncoding.EncodeToString(signature)
	return m
}

func post(tb testing.TB, m map[string]string) *http.Request {
	b, err := json.Marshal(m)
	require.NoError(tb, err)
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/alarms", strings.NewReader(string(b)))
	r.Header.Set("Content-Type", "text/plain; charset=UTF-8")
	r.Header.Set("X-Amz-Sns-Message-Type", m["Type"])
	return r
}

func receiver(tb testing.TB, s *sns, c cloudwatch.Config) *cloudwatch.Receiver {
	c.Topics, c.Client, c.Logger = []string{topic}, s.client(), receivetest.Quiet()
	r, err := cloudwatch.New(c)
	require.NoError(tb, err)
	return r
}

func alarmMessage() map[string]string {
	return map[string]string{"Type": "Notification", "Message": `{"AlarmName":"a","NewStateValue":"ALARM","StateChangeTime":"2026-03-01T12:00:00.000+0000"}`}
}

func TestBothSignatureVersions(t *testing.T) {
	s := newSNS(t)
	r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
	for _, version := range []string{"1", "2"} {
		for _, subject := range []bool{false, true} {
			m := alarmMessage()
			m["SignatureVersion"] = version
			if subject {
				m["Subject"] = "ALARM: \"a\""
			}
			require.Equal(t, 200, receivetest.Send(r, post(t, s.sign(t, m))))
		}
	}
	require.Equal(t, []string{"GET " + certURL}, s.visits(), "fetched once, and kept")
}

// Each field that is signed is changed after signing.
func TestNothingThatIsSignedMayChange(t *testing.T) {
	s := newSNS(t)
	notice := alarmMessage()
	notice["Subject"] = "ALARM"
	confirmation := map[string]string{
		"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe", "Token": "canary-token",
		"SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=canary-token",
	}
	for _, signed := range []map[string]string{s.sign(t, notice), s.sign(t, confirmation)} {
		for field := range signed {
			m := maps.Clone(signed)
			switch field {
			case "SigningCertURL", "Type", "TopicArn":
				continue // refused for what they are
			case "SignatureVersion":
				m[field] = "2"
			default:
				m[field] += "x"
			}
			r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
			before := len(s.visits())
			require.Equal(t, 403, receivetest.Send(r, post(t, m)), field)
			require.Equal(t, map[string]uint64{"wrong proof": 1}, r.Stats().Refused, field)
			require.Equal(t, []string{"GET " + certURL}, s.visits()[before:], "nothing else leaves before the proof holds")
		}
	}
	m := maps.Clone(s.sign(t, alarmMessage()))
	m["Subject"] = "added"
	require.Equal(t, 403, receivetest.Send(receiver(t, s, cloudwatch.Config{SigningRoots: s.roots}), post(t, m)))
	m = maps.Clone(confirmation)
	m["Type"] = "UnsubscribeConfirmation"
	require.Equal(t, 403, receivetest.Send(receiver(t, s, cloudwatch.Config{SigningRoots: s.roots}), post(t, m)))
}

func TestTheCertificateAddress(t *testing.T) {
	s := newSNS(t)
	for _, bad := range []string{
		"http://sns.eu-west-1.amazonaws.com/x.pem", "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem", "https://evil.example/x.pem",
		"https://sns.eu-west-1.amazonaws.com:8443/x.pem", "https://sns.eu-west-1.amazonaws.com:/x.pem", "https://a@sns.eu-west-1.amazonaws.com/x.pem",
		"https://sns.eu-west-1.amazonaws.com/x.crt", "https://sns.eu-west-1.amazonaws.com/?x.pem", "https://sns.eu-west-1.amazonaws.com/x.pem?a",
		"https://sns..amazonaws.com/x.pem", "https://sns.a.b.amazonaws.com/x.pem", "https://xsns.eu-west-1.amazonaws.com/x.pem",
		"https://sns.amazonaws.com/x.pem", "https://bucket.s3.amazonaws.com/x.pem", "https://sns.eu-west-1.amazonaws.com\\@evil.example/x.pem",
		"//sns.eu-west-1.amazonaws.com/x.pem", "https:sns.eu-west-1.amazonaws.com/x.pem", "https://sns.eu-west-1.amazonaws.com/x.pem#y", "", "%",
	} {
		r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
		m := alarmMessage()
		m["SigningCertURL"] = bad
		require.Equal(t, 403, receivetest.Send(r, post(t, s.sign(t, m))), bad)
		require.Equal(t, map[string]uint64{"certificate address": 1}, r.Stats().Refused, bad)
	}
	require.Empty(t, s.visits())
	china := alarmMessage()
	china["SigningCertURL"] = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem"
	s.answer = func(*http.Request) (*http.Response, error) { return reply(200, string(s.pem)), nil }
	require.Equal(t, 200, receivetest.Send(receiver(t, s, cloudwatch.Config{SigningRoots: s.roots}), post(t, s.sign(t, china))))
}

func TestRefusedBeforeAnyRequest(t *testing.T) {
	s := newSNS(t)
	for want, change := range map[string]func(map[string]string){
		"topic":        func(m map[string]string) { m["TopicArn"] += "x" },
		"other type":   func(m map[string]string) { m["Type"] = "Rumour" },
		"raw delivery": func(m map[string]string) { delete(m, "Type") },
		"wrong proof":  func(m map[string]string) { m["SignatureVersion"] = "3" },
	} {
		r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
		m := alarmMessage()
		change(m)
		require.Equal(t, 403, receivetest.Send(r, post(t, s.sign(t, m))))
		require.Equal(t, map[string]uint64{want: 1}, r.Stats().Refused)
	}
	r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
	raw := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(alarmMessage()["Message"]))
	raw.Header.Set("X-Amz-Sns-Rawdelivery", "true")
	require.Equal(t, 403, receivetest.Send(r, raw))
	broken := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{"))
	require.Equal(t, 400, receivetest.Send(r, broken))
	require.Equal(t, map[string]uint64{"raw delivery": 1, "malformed": 1}, r.Stats().Refused)
	require.Empty(t, s.visits())
}

func TestTheCertificateItself(t *testing.T) {
	a := newAuthority()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }
	self := &x509.Certificate{SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, self, self, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, c := range map[string]struct {
		pem          []byte
		roots, names bool // holds with SigningRoots, and without
	}{
		"good": {a.leaf(t, nil), true, true},
		"in a region": {a.leaf(t, func(c *x509.Certificate) {
			c.Subject.CommonName, c.DNSNames = "", []string{"sns.eu-west-1.amazonaws.com"}
		}), true, true},
		"expired":         {a.leaf(t, past), false, false},
		"self-signed":     {own, false, false},
		"of another name": {a.leaf(t, func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = "s3.amazonaws.com", nil }), true, false},
		"no PEM":          {[]byte("<Error/>"), false, false},
		"broken":          {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1, 2}}), false, false},
		"empty":           {nil, false, false},
	} {
		for _, withRoots := range []bool{true, false} {
			s := newSNS(t)
			s.pem = c.pem
			cfg, want := cloudwatch.Config{}, c.names
			if withRoots {
				cfg.SigningRoots, want = s.roots, c.roots
			}
			r := receiver(t, s, cfg)
			code := receivetest.Send(r, post(t, s.sign(t, alarmMessage())))
			if want {
				require.Equal(t, 200, code, "%s %v", name, withRoots)
			} else {
				require.Equal(t, 403, code, "%s %v", name, withRoots)
				require.Equal(t, map[string]uint64{"certificate": 1}, r.Stats().Refused, name)
			}
		}
	}
	s := newSNS(t)
	s.key = other // signs with another key than the certificate's
	r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
	require.Equal(t, 403, receivetest.Send(r, post(t, s.sign(t, alarmMessage()))))
	require.Equal(t, map[string]uint64{"wrong proof": 1}, r.Stats().Refused)
}

func TestAFetchThatFailsIsTriedAgain(t *testing.T) {
	s := newSNS(t)
	r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
	for _, answer := range []func(*http.Request) (*http.Response, error){
		func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
		func(*http.Request) (*http.Response, error) { return reply(503, ""), nil },
		func(*http.Request) (*http.Response, error) { return reply(200, strings.Repeat("x", 1<<20)), nil },
		func(*http.Request) (*http.Response, error) {
			a := reply(302, "")
			a.Header.Set("Location", "https://evil.example/x.pem")
			return a, nil
		},
	} {
		s.answer = answer
		require.Equal(t, 503, receivetest.Send(r, post(t, s.sign(t, alarmMessage()))))
	}
	require.Equal(t, uint64(4), r.Stats().Failed["certificate fetch"])
	for _, v := range s.visits() {
		require.Equal(t, "GET "+certURL, v, "no redirect is followed")
	}
	s.answer = nil
	require.Equal(t, 200, receivetest.Send(r, post(t, s.sign(t, alarmMessage()))))
}

// Addresses are many, the cache is small, and each is checked.
func TestTheCacheIsBounded(t *testing.T) {
	s := newSNS(t)
	s.answer = func(*http.Request) (*http.Response, error) { return reply(200, string(s.pem)), nil }
	r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
	send := func(n int) {
		m := alarmMessage()
		m["SigningCertURL"] = "https://sns.eu-west-1.amazonaws.com/" + strings.Repeat("x", n+1) + ".pem"
		require.Equal(t, 200, receivetest.Send(r, post(t, s.sign(t, m))))
	}
	for n := range 9 {
		send(n)
	}
	send(8)
	require.Len(t, s.visits(), 9, "the last is still there")
	send(0)
	require.Len(t, s.visits(), 10, "the first is not")
}

func TestConfirmation(t *testing.T) {
	s := newSNS(t)
	subscribe := "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=canary-token"
	confirmation := func(address string) map[string]string {
		return map[string]string{"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe", "Token": "canary-token", "SubscribeURL": address}
	}
	r := receiver(t, s, cloudwatch.Config{SigningRoots: s.roots})
	require.Equal(t, 200, receivetest.Send(r, post(t, s.sign(t, confirmation(subscribe)))))
	require.Equal(t, []string{"GET " + certURL, "GET " + subscribe}, s.visits())
	require.Equal(t, map[string]uint64{"confirmed": 1}, r.Stats().Ignored)

	for _, bad := range []string{"https://evil.example/?Action=ConfirmSubscription", "http://sns.eu-west-1.amazonaws.com/", "https://a:b@sns.eu-west-1.amazonaws.com/", ""} {
		require.Equal(t, 403, receivetest.Send(r, post(t, s.sign(t, confirmation(bad)))))
	}
	m := confirmation(subscribe)
	m["Type"] = "UnsubscribeConfirmation"
	require.Equal(t, 200, receivetest.Send(r, post(t, s.sign(t, m))))
	require.Len(t, s.visits(), 2, "visiting that would subscribe again")

	refused := confirmation(strings.Replace(subscribe, "canary-token", "other", 1))
	require.Equal(t, 503, receivetest.Send(r, post(t, s.sign(t, refused))))
	require.Equal(t, uint64(1), r.Stats().Failed["confirm"])
	_, err := r.All().Detect(t.Context())
	require.ErrorContains(t, err, "nothing was received", "that says nothing of any alarm")

	open, err := cloudwatch.New(cloudwatch.Config{Insecure: true, Client: s.client(), Logger: receivetest.Quiet()})
	require.NoError(t, err)
	require.Equal(t, 200, receivetest.Send(open, post(t, s.sign(t, confirmation(subscribe)))))
	require.Len(t, s.visits(), 3, "no request leaves without a proof")
}
