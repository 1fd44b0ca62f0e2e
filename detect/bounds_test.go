package detect

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Keys that come and go must not pile up, neither in calm nor beside an error
// that lasts.
func TestConfirmForgets(t *testing.T) {
	var err error
	n := 0
	c := Confirm(ConfirmOptions{N: 2, Of: 4, Detector: Func(func(context.Context) ([]Finding, error) {
		n++
		return []Finding{{Key: fmt.Sprint(n)}}, err
	})}).(*confirm)
	for range 5000 {
		_, _ = c.Detect(context.Background())
	}
	assert.Len(t, c.keys, 4)
	err = errors.New("dark")
	for range 5000 {
		_, _ = c.Detect(context.Background())
	}
	assert.LessOrEqual(t, len(c.keys), longAgo+1)
}

func TestKeyedForgets(t *testing.T) {
	n := 0
	k := Keyed(KeyedOptions[int]{Map: func(context.Context) (map[string]int, error) {
		values := map[string]int{}
		for range 5000 {
			n++
			values[fmt.Sprint(n)] = 1
		}
		return values, nil
	}}).(*keyed[int])
	for range 3 {
		found, err := k.Detect(context.Background())
		assert.Len(t, found, 5000)
		assert.NoError(t, err)
	}
	assert.Len(t, k.alarms.sick, 5000)
	if s := k.spares.take(k); cap(s.values) > 4096 {
		t.Error("the buffer of a storm was kept:", cap(s.values))
	}
}

func TestMailboxKeepsTwiceItsKeysAtMost(t *testing.T) {
	m := NewMailboxWith(MailboxOptions{MaxKeys: 10})
	for i := range 1000 {
		m.Report(Finding{Key: fmt.Sprint(i), For: 1})
	}
	_, _ = m.Detect(context.Background())
	assert.LessOrEqual(t, len(m.held), 20)
}

func TestBurnRateLeavesOutWhatCannotBe(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		o    BurnRateOptions
		want int
	}{
		{BurnRateOptions{SLO: 0.999}, 4},
		{BurnRateOptions{SLO: 0.9}, 3},                // 14.4 times 10 % is more than everything
		{BurnRateOptions{SLO: 0.1}, 1},                // the factor 1 can always be passed
		{BurnRateOptions{SLO: 0.999, Period: day}, 3}, // no window is longer than the period
	} {
		b := BurnRate(c.o)
		assert.Len(t, b.alarms, c.want, "%v", c.o.SLO)
		assert.NoError(t, b.Validate())
	}
}
