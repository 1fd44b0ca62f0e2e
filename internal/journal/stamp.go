package journal

import (
	"encoding/hex"
	"time"
)

// A BootID names one run of a kernel. The zero value is an unknown one, which is
// never the same as another.
type BootID [16]byte

// String is the id as Linux writes it, or "unknown".
func (id BootID) String() string {
	if id == (BootID{}) {
		return "unknown"
	}
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseBootID reads an id as Linux writes it.
func parseBootID(s string) (id BootID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return id, false
	}
	return BootID(b), true
}

// A Stamp is a moment on three clocks: the wall clock for people, and the time
// since boot (suspension included) together with which boot that was. Only the
// last two can tell how long ago something was in an earlier life, because the
// wall clock steps.
type Stamp struct {
	Wall   time.Time
	Boot   time.Duration
	BootID BootID
}

// Clock makes stamps. It reads the boot id once, since that cannot change under a
// running process.
type Clock struct{ id BootID }

// NewClock returns the clock of this machine. On Linux the boot time is
// CLOCK_BOOTTIME and the id /proc/sys/kernel/random/boot_id; elsewhere, and where
// that cannot be read, the id is unknown and waits of an earlier life count in
// full. In a Linux time namespace the boot time has the offset of the namespace:
// lives in namespaces of different offsets must not share a journal.
func NewClock() Clock { return Clock{bootID()} }

// Now is the moment, by package time for the wall clock. It is safe for
// concurrent use.
func (c Clock) Now() Stamp {
	return Stamp{Wall: time.Now().Round(0), Boot: sinceBoot(), BootID: c.id}
}

// Remaining is what is left of a wait that began at a moment, maybe in an earlier
// life: the rest by the time since boot if that was the same boot; else the wait
// in full, because nothing can say how long the machine was off.
func Remaining(wait time.Duration, began, now Stamp) time.Duration {
	if began.BootID == (BootID{}) || began.BootID != now.BootID || now.Boot < began.Boot {
		return max(wait, 0)
	}
	passed := now.Boot - began.Boot
	if passed < 0 || passed >= wait { // below 0: beyond what a Duration holds
		return 0
	}
	return wait - passed
}
