package host

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// hands is a wall clock that a test moves.
type hands struct {
	mu     sync.Mutex
	origin time.Time
	moved  time.Duration
	slept  time.Duration
	glitch int // readings that are torn apart
	kernel kernelClock
	err    error
}

func newHands() *hands { return &hands{origin: time.Now(), kernel: kernelClock{synced: true}} }

func (h *hands) options() Options {
	return Options{Clock: ClockOptions{
		read: func() reading {
			h.mu.Lock()
			defer h.mu.Unlock()
			now := time.Since(h.origin)
			r := reading{wall: now + h.moved + h.slept, mono: now, suspended: h.slept}
			if h.glitch > 0 {
				h.glitch--
				r.wall += time.Second
			}
			return r
		},
		tell: func() (kernelClock, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.kernel, h.err
		},
	}}
}

func (h *hands) move(by, slept time.Duration, glitch int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moved, h.slept, h.glitch = h.moved+by, h.slept+slept, h.glitch+glitch
}

func TestTheClockIsFoundToJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, trust := newHands(), &Trust{}
		o := h.options()
		o.Clock.Trust = trust
		trial := selfhealtest.Start(t, Clock(o))
		at := func(d time.Duration) { time.Sleep(d - time.Since(h.origin)) }
		at(time.Minute)
		h.move(30*time.Millisecond, time.Hour, 0) // slewed, and suspended, after which it is right to leap
		at(2 * time.Minute)
		h.move(0, 0, 2) // put aside between the two readings
		at(3 * time.Minute)
		h.move(100*time.Millisecond, 0, 0)
		at(4 * time.Minute)
		ok, _ := trust.Trusted()
		require.True(t, ok, "a jump of 100 ms is a warning")
		h.move(-time.Second, 0, 0)
		at(5 * time.Minute)
		ok, why := trust.Trusted()
		require.False(t, ok)
		require.Equal(t, "the wall clock jumped back by 1s", why)
		at(20 * time.Minute)
		ok, _ = trust.Trusted()
		require.True(t, ok)
		trial.Want(`
			3m1s open clock[step early]: the wall clock jumped forward by 100ms
			3m1s page clock[step early] exhausted
			4m1s open clock[step]: the wall clock jumped back by 1s
			4m1s page clock[step] exhausted
			5m1s resolve clock[step early]
			5m1s close clock[step early]
			7m1s resolve clock[step]
			7m1s close clock[step]`)
	})
}

func TestSkewAndLostSynchronisation(t *testing.T) {
	h := newHands()
	h.kernel.synced = false
	d := Clock(h.options()).Detector
	require.Empty(t, look(t, d), "what never was is not missed")
	h.kernel = kernelClock{synced: true, offset: 60 * time.Millisecond}
	require.Equal(t, []string{"skew early"}, keys(look(t, d)))
	h.kernel.offset = 40 * time.Millisecond
	require.Equal(t, "the clock is 40ms behind, not yet below 25ms", look(t, d)[0].Summary)
	h.kernel.offset = -2 * time.Second
	found := look(t, d)
	require.Equal(t, []string{"skew", "skew early"}, keys(found))
	require.Equal(t, "the clock is 2s ahead, above 500ms", found[0].Summary)
	h.kernel = kernelClock{}
	require.Contains(t, keys(look(t, d)), syncKey)
	h.kernel = kernelClock{synced: true}
	require.Empty(t, look(t, d))
	h.err = errors.ErrUnsupported
	require.Empty(t, look(t, d), "a system that does not tell is not missed either")
	h.err = syscall.EPERM
	require.Empty(t, look(t, d), "nor is one that must not tell")
	h.err = errors.New("no")
	_, err := d.Detect(context.Background())
	require.ErrorContains(t, err, "does not tell of its clock")
	o := newHands()
	o.kernel.synced = false
	with := o.options()
	with.Clock.RequireSync = true
	require.Equal(t, []string{syncKey}, keys(look(t, Clock(with).Detector)))
	o.err = syscall.EPERM
	_, err = Clock(with).Detector.Detect(context.Background())
	require.ErrorIs(t, err, syscall.EPERM, "what is required and not told is blind")
}

func TestTheClockConforms(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		h := newHands()
		return selfhealtest.DetectorFixture{
			Detector: Clock(h.options()).Detector,
			Sicken:   func() { h.err, h.kernel.offset = nil, time.Second },
			Heal:     func() { h.err, h.kernel.offset = nil, 0 },
			Break:    func() { h.err = errors.New("no") },
		}
	})
}

// The real clocks of this machine do not jump by themselves.
func TestTheRealClock(t *testing.T) {
	d := Clock(Options{}).Detector
	for range 200 {
		for _, f := range look(t, d) {
			require.NotContains(t, f.Key, stepKey, f.Summary)
		}
	}
}

// timeServer is an NTP server on loopback whose clock is off.
func timeServer(t *testing.T, off time.Duration, spoil func(answer []byte) []byte) string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 100)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			now := time.Now().Add(off)
			out := make([]byte, 48)
			out[0], out[1] = 4<<3|4, 2
			copy(out[24:], buf[40:n])
			for _, at := range []int{32, 40} {
				binary.BigEndian.PutUint32(out[at:], uint32(now.Unix()+ntpEpoch))
				binary.BigEndian.PutUint32(out[at+4:], uint32(uint64(now.Nanosecond())<<32/1e9))
			}
			if spoil != nil {
				_, _ = conn.WriteTo([]byte("forged"), from)
				out = spoil(out)
			}
			_, _ = conn.WriteTo(out, from)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return conn.LocalAddr().String()
}

func TestARealTimeServerMeasuresTheSkew(t *testing.T) {
	offset, err := SNTP(timeServer(t, 700*time.Millisecond, nil))(context.Background())
	require.NoError(t, err)
	require.InDelta(t, 0.7, offset.Seconds(), 0.3)
	for want, spoil := range map[string]func([]byte) []byte{
		"not synchronised": func(b []byte) []byte { b[0] |= 3 << 6; return b },
		"refuses":          func(b []byte) []byte { b[1] = 0; copy(b[12:], "RATE"); return b },
		"mode 3":           func(b []byte) []byte { b[0] = 4<<3 | 3; return b },
	} {
		_, err := SNTP(timeServer(t, 0, spoil))(context.Background())
		require.ErrorContains(t, err, want)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err = SNTP(timeServer(t, 0, func(b []byte) []byte { b[24]++; return b }))(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "an answer to another question does not count")

	o := Options{Clock: ClockOptions{Reference: SNTP(timeServer(t, -time.Minute, nil)), Trust: &Trust{}}}
	found := look(t, Clock(o).Detector)
	require.Equal(t, "skew", found[0].Key)
	require.InDelta(t, 60, found[0].Value, 1)
	ok, _ := o.Clock.Trust.Trusted()
	require.False(t, ok)
}

// A server that fails for long is not pressed: 15 s after the first failure, then as
// rarely as ever.
func TestAReferenceThatFailsIsNotPressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		o := newHands().options()
		o.Clock.Reference = func(context.Context) (time.Duration, error) { asked++; return 0, errors.New("RATE") }
		d := Clock(o).Detector
		for range 600 {
			_, err := d.Detect(t.Context())
			require.ErrorContains(t, err, "RATE")
			time.Sleep(time.Second)
		}
		require.Equal(t, 11, asked)
	})
}

// One lost packet makes nobody blind for long, and the reference is not asked at
// each look.
func TestTheReferenceIsAskedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		fails := errors.New("lost")
		o := newHands().options()
		o.Clock.Reference = func(context.Context) (time.Duration, error) {
			if asked.Add(1) == 2 {
				return 0, fails
			}
			return 0, nil
		}
		d := Clock(o)
		d.Detector = detect.Func(d.Detector.Detect)
		trial := selfhealtest.Start(t, d, selfheal.Watch{Name: "idle", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, nil })})
		time.Sleep(10 * time.Minute)
		require.InDelta(t, 10, asked.Load(), 1)
		trial.Want(`1m5s blind: host: the reference clock: lost`)
	})
}
