package detect

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestShortDuration(t *testing.T) {
	for _, c := range []struct {
		d, ref time.Duration
		want   string
	}{
		{12 * time.Second, 5 * time.Second, "12s"},
		{12345 * time.Millisecond, 5 * time.Second, "12.3s"},
		{5004 * time.Millisecond, 5 * time.Second, "5.004s"}, // not "5s is above 5s"
		{5019 * time.Millisecond, 5 * time.Second, "5.01s"},
		{1234567, 0, "1.23ms"},
		{1234, 0, "1.234µs"},
		{2*time.Hour + 345*time.Millisecond, 0, "2h0m0s"},
		{-12345 * time.Millisecond, 0, "-12.3s"},
		{math.MinInt64, 0, "-2562047h47m16.854775808s"},
		{0, 0, "0s"},
	} {
		assert.Equal(t, c.want, shortDuration(c.d, c.ref))
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than a second", 1500 * time.Millisecond: "2s", 64 * time.Second: "1m", 95 * time.Second: "1m40s",
		39*time.Minute - time.Second: "39m", 150 * time.Minute: "2h30m", 48 * time.Hour: "2d", math.MaxInt64: "centuries",
	} {
		assert.Equal(t, want, roughly(d))
	}
}

func TestSomeOf(t *testing.T) {
	var names []string
	for i := range 1003 {
		names = append(names, fmt.Sprint(i))
	}
	assert.Equal(t, `"0", "1"`, someOf(names[:2]))
	assert.True(t, strings.HasSuffix(someOf(names), `"9" and 993 more`))
}

// A duration is given in the unit that was asked for.
func TestTimeUnits(t *testing.T) {
	for unit, want := range map[string]float64{
		"": 5400, "ns": 5.4e12, "us": 5.4e9, "µs": 5.4e9, "ms": 5.4e6, "s": 5400, "m": 90, "min": 90, "h": 1.5, "d": 0.0625,
	} {
		l := level[time.Duration]{limit: time.Hour, unit: unit}
		assert.NoError(t, l.problem())
		assert.Equal(t, want, l.finding("", 90*time.Minute).Value, unit)
	}
}
