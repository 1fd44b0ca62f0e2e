package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// tlsServer serves a pair on loopback until the test ends.
func tlsServer(t *testing.T, pair *Keypair) string {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: pair.GetCertificate})
	require.NoError(t, err)
	s := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().String()
}

// A certificate that is about to end is served over TLS; its file is renewed; the
// module sees that what is served is not what is in the file, and reloads it.
func TestAnExpiringCertificateIsRenewedAndReloaded(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	f.write(t, ca, life{until: 5 * day})
	pair, err := NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.key})
	require.NoError(t, err)
	address := tlsServer(t, pair)
	var asked atomic.Int32
	o := Options{Certificates: []Certificate{{
		Name: "orders", Served: address, ServerName: "orders.test", Pair: pair,
		Renew: func(context.Context) error { asked.Add(1); f.write(t, ca, life{until: 90 * day}); return nil },
	}}}
	pager := &selfhealtest.Pager{}
	stale, expiry := CertificateStale(o), CertificateExpiry(o)
	for _, w := range []*selfheal.Watch{&stale, &expiry} {
		w.Every, w.For, w.KeepFor = 20*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	}
	for _, w := range []*selfheal.Watch{&stale, &expiry} {
		for i := range w.Playbook.Steps {
			w.Playbook.Steps[i].Settle = 500 * time.Millisecond
		}
	}
	require.Empty(t, look(t, expiry.Detector), "a life of 5 days shortens the levels")
	f.write(t, ca, life{from: -85 * day, until: 5 * day}) // the usual 90 days
	require.NoError(t, pair.Reload(context.Background(), remediate.Request{}), "the same end is no earlier one")
	var closed atomic.Int32
	s := selfheal.New(selfheal.Options{Logger: quiet(), Escalate: policyOf(pager), Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
		if _, ok := e.(selfheal.EventClose); ok {
			closed.Add(1)
		}
	})})
	s.Watch(stale, expiry)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	require.Eventually(t, func() bool { return closed.Load() >= 2 }, 15*time.Second, 5*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.EqualValues(t, 1, asked.Load())
	require.Empty(t, pager.Pages())

	c := Certificate{Served: address, ServerName: "orders.test"}
	presented, err := c.served(context.Background())
	require.NoError(t, err)
	require.Greater(t, time.Until(presented[0].NotAfter), 80*day)
}

// Nothing is taken that a client would refuse, or that is worse than what is served.
func TestAReloadTakesNothingBad(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	first := f.write(t, ca, life{until: 30 * day, names: []string{"orders.test", "*.orders.test"}})
	pair, err := NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.key, Roots: roots})
	require.NoError(t, err)
	reload := func() error { return pair.Reload(context.Background(), remediate.Request{Log: quiet()}) }
	names := []string{"orders.test", "*.orders.test"}
	require.ErrorIs(t, reload(), remediate.ErrSkip, "nothing new")
	for _, bad := range []struct {
		what  string
		write func()
	}{
		{"private key does not match", func() { f.keyOf(t, newKey(t)) }},
		{"not valid before", func() { f.write(t, ca, life{from: time.Hour, until: 90 * day, names: names}) }},
		{"ended at", func() { f.write(t, ca, life{from: -2 * day, until: -time.Hour, names: names}) }},
		{"before the one that", func() { f.write(t, ca, life{until: 20 * day, names: names}) }},
		{`not good for "*.orders.test"`, func() { f.write(t, ca, life{until: 90 * day}) }},
		{"unknown authority", func() { f.write(t, newAuthority(t, "else"), life{until: 90 * day, names: names}) }},
		{"failed to find any PEM data", func() { replace(t, f.cert, []byte("-----BEGIN CERT")) }},
		{"no such file", func() { require.NoError(t, os.Remove(f.cert)) }},
	} {
		bad.write()
		what, err := bad.what, reload()
		require.ErrorContains(t, err, what)
		require.False(t, errors.Is(err, remediate.ErrSkip))
		c, _ := pair.GetCertificate(nil)
		require.Equal(t, first.Raw, c.Certificate[0], what)
	}
	good := f.write(t, ca, life{until: 90 * day, names: names})
	require.NoError(t, reload())
	c, _ := pair.GetClientCertificate(nil)
	require.Equal(t, good.Raw, c.Certificate[0])

	middle := ca.issue(t, "middle", 400*day)
	next := middle.leaf(t, life{until: 100 * day, names: names, key: ca.key})
	f.keyOf(t, ca.key)
	f.chain(t, next, newAuthority(t, "else").cert)
	loose, err := NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.key})
	require.NoError(t, err)
	f.chain(t, middle.leaf(t, life{until: 101 * day, names: names, key: ca.key}), newAuthority(t, "else").cert)
	require.ErrorContains(t, loose.Reload(context.Background(), remediate.Request{}), "not signed by the next")
	f.chain(t, middle.leaf(t, life{until: 101 * day, names: names, key: ca.key}), middle.cert)
	require.NoError(t, loose.Reload(context.Background(), remediate.Request{}))
}

// Ninety days of a certificate that nobody renews, in virtual time.
func TestPeopleAreToldAtEachLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, f := newAuthority(t, "ca"), newFiles(t)
		f.write(t, ca, life{until: 90 * day})
		failing := func(context.Context) error { return errors.New("the agent is away") }
		w := CertificateExpiry(Options{Certificates: []Certificate{{Name: "web", File: f.cert, Renew: failing}}})
		w.Every = time.Hour
		trial := selfhealtest.Start(t, w)
		time.Sleep(60 * day)
		trial.Want(``)
		time.Sleep(31 * day)
		var told []string
		for _, p := range trial.Pager().Pages() {
			told = append(told, p.Incident.Finding.Key+" "+p.Incident.Finding.Severity.String()+" "+string(p.Incident.Reason))
		}
		require.Equal(t, []string{
			"web: 29d warning exhausted", "web: 14d warning exhausted", "web: 7d critical exhausted", "web: 1d critical exhausted",
		}, slices.Compact(told))
		found := look(t, w.Detector)
		require.Contains(t, found[0].Summary, "the certificate of web ended 2")
		f.write(t, ca, life{until: 90 * day})
		time.Sleep(2 * time.Hour)
		require.Len(t, trial.Pager().Resolved(), 4)
	})
}

func TestWhatEndsFirstCounts(t *testing.T) {
	root, f := newAuthority(t, "root"), newFiles(t)
	middle := root.issue(t, "middle", 3*day)
	key := newKey(t)
	f.chain(t, middle.leaf(t, life{until: 60 * day, key: key}), middle.cert)
	f.keyOf(t, key)
	asked := 0
	o := Options{Certificates: []Certificate{{Name: "web", File: f.cert, Renew: func(context.Context) error { asked++; return nil }}}}
	w := CertificateExpiry(o)
	found := look(t, w.Detector)
	require.Contains(t, found[0].Summary, `the intermediate "middle" of web ends in 2d`)
	err := w.Playbook.Steps[0].Run(context.Background(), remediate.Request{Finding: found[0]})
	require.ErrorIs(t, err, remediate.ErrEscalate, "no renewal of the leaf mends that")
	require.Zero(t, asked)

	f.chain(t, root.leaf(t, life{from: 2 * time.Hour, until: 90 * day}))
	found = look(t, w.Detector)
	require.Equal(t, []string{"web: not yet valid"}, keys(found))
	f.chain(t, root.leaf(t, life{from: -60 * day, until: 30 * day}))
	require.Empty(t, look(t, w.Detector))
	f.chain(t, root.leaf(t, life{from: -85 * day, until: 5 * day}))
	found = look(t, w.Detector)
	require.Equal(t, []string{"web: 7d"}, keys(found), "only the deepest, where nobody watched before")
	for range 2 { // not twice within six hours, whatever the level
		err = w.Playbook.Steps[0].Run(context.Background(), remediate.Request{Finding: found[0]})
	}
	require.ErrorIs(t, err, remediate.ErrSkip)
	require.Equal(t, 1, asked)
}

func TestExpiryConforms(t *testing.T) {
	ca := newAuthority(t, "ca")
	for name, w := range map[string]func(Options) selfheal.Watch{"expiry": CertificateExpiry, "stale": CertificateStale} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
				f := newFiles(t)
				good := life{until: 90 * day, key: newKey(t)}
				f.write(t, ca, good)
				pair, err := NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.key})
				require.NoError(t, err)
				text, err := os.ReadFile(f.cert)
				require.NoError(t, err)
				n := time.Duration(0)
				return selfhealtest.DetectorFixture{
					Detector:    w(Options{Certificates: []Certificate{{Name: "web", Pair: pair}}}).Detector,
					Sicken:      func() { n++; f.write(t, ca, life{from: -80 * day, until: 5*day + n*time.Second}) },
					Heal:        func() { replace(t, f.cert, text) },
					Break:       func() { replace(t, f.cert, []byte("nothing")) },
					AllowAllocs: true, // of stat, once a minute
				}
			})
		})
	}
}

// A server that accepts and never speaks makes nobody wait for long, and one that is
// not there is blind and not healthy.
func TestAServerThatDoesNotAnswerIsBlind(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	d := CertificateExpiry(Options{Certificates: []Certificate{{Name: "web", Served: l.Addr().String()}}}).Detector
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	found, err := d.Detect(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, found)
	require.NoError(t, l.Close())
	_, err = d.Detect(context.Background())
	require.ErrorContains(t, err, "the certificate served at 127.0.0.1")
}

func TestTheReloadStepConforms(t *testing.T) {
	ca := newAuthority(t, "ca")
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		f := newFiles(t)
		f.write(t, ca, life{until: 30 * day})
		pair, err := NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.key})
		require.NoError(t, err)
		f.write(t, ca, life{until: 90 * day})
		o := Options{Certificates: []Certificate{{Name: "web", Pair: pair}}}
		w := CertificateStale(o)
		return selfhealtest.StepFixture{
			Step:         w.Playbook.Steps[0],
			Finding:      look(t, w.Detector)[0],
			State:        func() string { c, _ := pair.chain(); return c[0].NotAfter.String() },
			Inapplicable: func() { require.NoError(t, pair.Reload(context.Background(), remediate.Request{})) },
			Break: func() func() {
				text, err := os.ReadFile(f.cert)
				require.NoError(t, err)
				replace(t, f.cert, nil)
				return func() { replace(t, f.cert, text) }
			},
			Skip: map[string]string{"same-key": "a second Reload finds nothing new and skips, which changes nothing"},
		}
	})
}

func TestWhatIsWrittenIsServed(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	f.write(t, ca, life{until: 30 * day})
	pair, err := NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.key})
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "orders.test"}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + tlsServer(t, pair))
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	require.NoError(t, resp.Body.Close())
	_, err = NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.cert})
	require.Error(t, err)
}

// A hook is not asked to take what clients would refuse.
func TestAReloadHookIsNotCalledForABadFile(t *testing.T) {
	ca, f, served := newAuthority(t, "ca"), newFiles(t), newFiles(t)
	served.write(t, ca, life{until: 30 * day})
	pair, err := NewKeypair(KeypairOptions{CertFile: served.cert, KeyFile: served.key})
	require.NoError(t, err)
	called := 0
	c := Certificate{Name: "web", File: f.cert, Served: tlsServer(t, pair), ServerName: "orders.test", Reload: func(context.Context) error { called++; return nil }}
	w := CertificateStale(Options{Certificates: []Certificate{c}})
	run := func() error {
		return w.Playbook.Steps[0].Run(t.Context(), remediate.Request{Finding: look(t, w.Detector)[0]})
	}
	f.write(t, ca, life{from: -2 * day, until: -time.Hour})
	require.ErrorContains(t, run(), "it ended at")
	f.write(t, ca, life{until: 90 * day, names: []string{"else.test"}})
	require.ErrorContains(t, run(), `not good for "orders.test"`)
	require.Zero(t, called)
	f.write(t, ca, life{until: 90 * day})
	require.NoError(t, run())
	require.Equal(t, 1, called)
	require.ErrorIs(t, ReloadCertificate(Certificate{Name: "web", File: f.cert, Reload: c.Reload}).Run(t.Context(), remediate.Request{Finding: look(t, w.Detector)[0]}), remediate.ErrSkip)
}

// What the file has already is not asked for again.
func TestNoRenewalIsAskedForWhatWasRenewed(t *testing.T) {
	ca, f := newAuthority(t, "ca"), newFiles(t)
	f.write(t, ca, life{from: -85 * day, until: 5 * day})
	pair, err := NewKeypair(KeypairOptions{CertFile: f.cert, KeyFile: f.key})
	require.NoError(t, err)
	f.write(t, ca, life{until: 90 * day})
	w := CertificateExpiry(Options{Certificates: []Certificate{{Name: "web", Pair: pair, Renew: func(context.Context) error { panic("asked") }}}})
	found := look(t, w.Detector)
	require.Contains(t, found[0].Summary, "the served certificate of web ends in")
	require.ErrorIs(t, w.Playbook.Steps[0].Run(t.Context(), remediate.Request{Finding: found[0]}), remediate.ErrSkip)
}

// A certificate is for addresses, too.
func TestAReloadKeepsTheAddresses(t *testing.T) {
	ca := newAuthority(t, "ca")
	old := &x509.Certificate{IPAddresses: []net.IP{net.IPv4(10, 0, 0, 7)}}
	next := ca.leaf(t, life{until: day})
	require.ErrorContains(t, KeypairOptions{}.check(chain{next}, chain{old}, time.Now()), `not good for "10.0.0.7"`)
}

func TestTheRenewStepConforms(t *testing.T) {
	ca := newAuthority(t, "ca")
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		f := newFiles(t)
		f.write(t, ca, life{from: -85 * day, until: 5 * day})
		var asked atomic.Int32
		var away atomic.Bool
		c := Certificate{Name: "web", File: f.cert, Renew: func(ctx context.Context) error {
			if away.Load() {
				return errors.New("the agent is away")
			}
			asked.Add(1)
			return ctx.Err()
		}}
		finding := look(t, CertificateExpiry(Options{Certificates: []Certificate{c}}).Detector)[0]
		step := RenewCertificate(c)
		return selfhealtest.StepFixture{
			Step: step, Finding: finding,
			State: func() string { return strconv.Itoa(int(asked.Load())) },
			Inapplicable: func() {
				require.NoError(t, step.Run(context.Background(), remediate.Request{Finding: finding}))
			},
			Break: func() func() { away.Store(true); return func() { away.Store(false) } },
			Skip:  map[string]string{"same-key": "a second request within 6 h is skipped, which changes nothing"},
		}
	})
}
