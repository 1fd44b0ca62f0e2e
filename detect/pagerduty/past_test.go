package pagerduty

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// What is remembered is bounded: what the window refuses goes first, then the
// oldest, and never what is under way.
func TestThePastIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &past{window: 48 * time.Hour, last: map[string]*last{}}
		tell := func(key string, at time.Time) {
			b, reason := p.begin(Acknowledgement{DedupKey: key, At: at, ID: key})
			require.Empty(t, reason)
			b.end(true)
		}
		began := time.Now()
		slow, reason := p.begin(Acknowledgement{DedupKey: "slow", At: began})
		require.Empty(t, reason)
		for n := range maxKeys + 10 {
			tell(fmt.Sprint(n), began.Add(time.Duration(n)*time.Second))
		}
		require.Len(t, p.last, maxKeys)
		require.NotNil(t, p.last["slow"])
		require.Nil(t, p.last["0"])
		require.NotNil(t, p.last["11"])
		slow.end(true)
		time.Sleep(60 * time.Hour)
		tell("new", time.Now())
		require.Len(t, p.last, 1)
	})
}
