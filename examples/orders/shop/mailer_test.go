package shop

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestALeakIsHealedByARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMailer(Production())
		m.Start()
		defer func() { require.NoError(t, m.Stop(t.Context())) }()
		trial := selfhealtest.Start(t, m.Healing())
		confirm := func(seconds int) {
			for range seconds {
				time.Sleep(time.Second)
				for range 20 {
					m.Confirm(Order{Customer: "ada@example.com"})
				}
			}
		}
		confirm(60)
		synctest.Wait()
		require.EqualValues(t, 1200, m.Confirmed())
		m.Confirm(Order{Customer: "nobody"})
		confirm(600)

		trial.Want(`
			6m11s open orders/mailer: 6220 goroutines is above 5000
			7m11s step restart-mailer: healed
			10m11s close`)
		n, _ := m.Goroutines(t.Context())
		require.Less(t, n, int64(100))
		require.Greater(t, m.Confirmed(), int64(1200))
		require.Empty(t, trial.Pager().Pages())
	})
}
