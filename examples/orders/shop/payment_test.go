package shop

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/selfhealtest"
)

// providers answer without a network, so that they can live in virtual time.
type providers struct{ primary, standby atomic.Bool }

func (p *providers) RoundTrip(r *http.Request) (*http.Response, error) {
	ok, why := p.primary.Load(), "this key was revoked"
	if r.URL.Host == "standby" {
		ok, why = p.standby.Load(), "you have no contract with us"
	}
	res := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}
	if !ok {
		res.StatusCode, res.Body = http.StatusUnauthorized, io.NopCloser(strings.NewReader(why))
	}
	return res, nil
}

func newTestPayment(t *testing.T, p *providers) *Payment {
	c := Production()
	c.PaymentURL, c.StandbyURL = "http://primary", "http://standby"
	c.KeyFile = filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(c.KeyFile, []byte("key-1"), 0o600))
	return NewPayment(c, p)
}

func TestWhatNoStepCanFixCallsAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &providers{}
		trial := selfhealtest.Start(t, newTestPayment(t, p).Healing())
		time.Sleep(time.Hour)
		p.primary.Store(true) // the person mends it
		time.Sleep(time.Hour)

		trial.Want(`
			1m0s open orders/payment: payment says 401: this key was revoked
			2m0s step reconnect: no effect
			3m0s step reload-key: no effect
			3m0s step use-standby: failed
			3m0s undo use-standby
			3m0s page exhausted
			1h3m0s resolve
			1h3m0s close`)
		require.Len(t, trial.Pager().Pages(), 1)
		page := trial.Pager().Pages()[0].Incident.Text()
		for _, line := range []string{
			"orders/payment: payment says 401: this key was revoked",
			"1. reconnect: no effect", "2. reload-key: no effect",
			"3. use-standby: failed: the standby refuses: payment says 401: you have no contract with us",
			"https://wiki.example/orders/payment",
		} {
			require.Contains(t, page, line)
		}
		require.Len(t, trial.Pager().Resolved(), 1)
	})
}

func TestTheStandbyIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &providers{}
		p.standby.Store(true)
		payment := newTestPayment(t, p)
		trial := selfhealtest.Start(t, payment.Healing())
		time.Sleep(5 * time.Minute)
		require.Equal(t, "http://standby", payment.server())
		p.primary.Store(true)
		time.Sleep(5 * time.Minute)

		trial.Want(`
			1m0s open orders/payment: payment says 401: this key was revoked
			2m0s step reconnect: no effect
			3m0s step reload-key: no effect
			4m0s step use-standby: healed
			7m0s undo use-standby
			7m0s close`)
		require.Equal(t, "http://primary", payment.server())
		require.Empty(t, trial.Pager().Pages())
	})
}

func TestTheStandbyStaysWhileThePrimaryRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &providers{}
		p.standby.Store(true)
		payment := newTestPayment(t, p)
		trial := selfhealtest.Start(t, payment.Healing())
		time.Sleep(20 * time.Minute)

		trial.Want(`
			1m0s open orders/payment: payment says 401: this key was revoked
			2m0s step reconnect: no effect
			3m0s step reload-key: no effect
			4m0s step use-standby: healed
			7m0s undo use-standby: failed
			7m0s page undo failed`)
		require.Equal(t, "http://standby", payment.server())
	})
}
