package journal

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatIsLeftOfAWait(t *testing.T) {
	here, there := BootID{1}, BootID{2}
	at := func(id BootID, boot time.Duration) Stamp {
		// the wall clock says whatever it likes
		return Stamp{Wall: time.Unix(0, int64(boot)*7), Boot: boot, BootID: id}
	}
	for _, c := range []struct {
		name       string
		wait       time.Duration
		began, now Stamp
		want       time.Duration
	}{
		{"some of it", 5 * time.Minute, at(here, time.Hour), at(here, time.Hour+2*time.Minute), 3 * time.Minute},
		{"all of it", 5 * time.Minute, at(here, time.Hour), at(here, time.Hour), 5 * time.Minute},
		{"exactly over", 5 * time.Minute, at(here, 0), at(here, 5*time.Minute), 0},
		{"long over", 5 * time.Minute, at(here, 0), at(here, 5*time.Hour), 0},
		{"another boot", 5 * time.Minute, at(here, 0), at(there, 5*time.Hour), 5 * time.Minute},
		{"unknown boots", 5 * time.Minute, at(BootID{}, 0), at(BootID{}, 5*time.Hour), 5 * time.Minute},
		{"one unknown", 5 * time.Minute, at(here, 0), at(BootID{}, 5*time.Hour), 5 * time.Minute},
		{"a clock that went back", 5 * time.Minute, at(here, time.Hour), at(here, 0), 5 * time.Minute},
		{"no wait", 0, at(here, 0), at(here, 0), 0},
		{"a negative wait", -time.Second, at(here, 0), at(there, 0), 0},
		{"beyond a duration", 5 * time.Minute, at(here, -1<<62), at(here, 1<<62+1), 0},
	} {
		require.Equal(t, c.want, Remaining(c.wait, c.began, c.now), c.name)
	}
}

func FuzzRemaining(f *testing.F) {
	f.Add(int64(time.Minute), int64(0), int64(time.Second), true)
	f.Add(int64(-1), int64(5), int64(-5), false)
	f.Fuzz(func(t *testing.T, wait, began, now int64, same bool) {
		a, b := Stamp{Boot: time.Duration(began), BootID: BootID{1}}, Stamp{Boot: time.Duration(now), BootID: BootID{1}}
		if !same {
			b.BootID = BootID{2}
		}
		left := Remaining(time.Duration(wait), a, b)
		if left < 0 || left > max(0, time.Duration(wait)) || !same && left != max(0, time.Duration(wait)) {
			t.Fatalf("%v of %v are left", left, time.Duration(wait))
		}
	})
}

func TestBootIDs(t *testing.T) {
	const text = "8b4fa1c9-26a1-4f4a-9fd6-0d1b8b0a8e11"
	id, ok := parseBootID(text)
	require.True(t, ok)
	require.Equal(t, text, id.String())
	require.Equal(t, "unknown", BootID{}.String())
	for _, bad := range []string{"", text[1:], text + "0", "8b4fa1c9-26a1-4f4a-9fd6-0d1b8b0a8e1g", "8b4fa1c9026a1-4f4a-9fd6-0d1b8b0a8e11"} {
		_, ok := parseBootID(bad)
		require.False(t, ok, bad)
	}
}

func TestTheClockOfThisMachine(t *testing.T) {
	c := NewClock()
	a := c.Now()
	require.WithinDuration(t, time.Now(), a.Wall, time.Minute)
	if runtime.GOOS != "linux" {
		return
	}
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(text)), a.BootID.String())
	require.Positive(t, a.Boot)
	require.GreaterOrEqual(t, c.Now().Boot, a.Boot)
}

func TestAHolderSaysWhoItIs(t *testing.T) {
	h := Holder{PID: 4711, Host: "node7", Program: "orders", Since: time.Date(2026, 3, 1, 4, 5, 6, 0, time.UTC)}
	require.Equal(t, h, parseHolder(h.text()))
	require.Equal(t, "process 4711 (orders) on host node7 since 2026-03-01T04:05:06Z", h.String())
	require.Equal(t, Holder{}, parseHolder("pid x\n\x00\xff\nsince never\n"))
	require.EqualError(t, &LockedError{Dir: "/d"}, "journal: /d is in use by another process: stop it, or give each process a directory of its own")
}
