package detect_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func report(key, summary string) detect.Finding { return detect.Finding{Key: key, Summary: summary} }

func TestMailboxIsALevel(t *testing.T) {
	m := detect.NewMailbox()
	valid(t, m)
	assert.Empty(t, summaries(t, m))
	m.Report(report("b", "down"))
	m.Report(report("a", "slow"))
	for range 2 {
		assert.Equal(t, []string{"a: slow", "b: down"}, summaries(t, m), "every look sees all of it")
	}
	m.Report(report("a", "down"))
	assert.Equal(t, []string{"a: down", "b: down"}, summaries(t, m))
	m.Clear("b")
	m.Clear("never reported")
	assert.Equal(t, []string{"a: down"}, summaries(t, m))
	m.Clear("a")
	assert.Empty(t, summaries(t, m))
}

func TestMailboxZeroValue(t *testing.T) {
	var m detect.Mailbox
	valid(t, &m)
	m.Clear("a")
	m.Report(report("", "sick"))
	assert.Equal(t, []string{"sick"}, summaries(t, &m))
}

func TestMailboxReportExpiresIntoUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := detect.NewMailbox()
		m.Report(report("a", "down"))
		f := report("b", "down")
		f.For = time.Hour
		m.Report(f)
		time.Sleep(15*time.Minute - 1)
		assert.Len(t, summaries(t, m), 2)
		time.Sleep(time.Nanosecond)
		for range 2 {
			found, err := m.Detect(t.Context())
			assert.ErrorContains(t, err, `nothing was heard in time of "a"`)
			require.Len(t, found, 1, "what is believed stays beside the error")
			assert.Equal(t, "b", found[0].Key)
		}
		time.Sleep(time.Hour)
		assert.ErrorContains(t, blind(t, m), `"a", "b"`)
		m.Report(report("a", "down"))
		m.Clear("b")
		assert.Equal(t, []string{"a: down"}, summaries(t, m), "restated and cleared end it")
	})
}

func TestMailboxClearingOneKeyKeepsTheClockOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := detect.NewMailbox()
		m.Report(report("a", "down"))
		m.Report(report("b", "down"))
		m.Clear("b")
		time.Sleep(15 * time.Minute)
		assert.ErrorContains(t, blind(t, m), `"a"`)
	})
}

func TestMailboxRestatingProlongs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := detect.NewMailbox()
		for range 10 {
			m.Report(report("a", "down"))
			time.Sleep(10 * time.Minute)
			assert.Len(t, summaries(t, m), 1)
		}
		short := report("a", "down")
		short.For = time.Minute
		m.Report(short)
		time.Sleep(time.Minute)
		blind(t, m)
	})
}

func TestMailboxWakesOncePerLook(t *testing.T) {
	m := detect.NewMailbox()
	m.Report(report("early", "before anybody listened"))
	woken := 0
	m.OnWake(func() {
		woken++
		m.Report(report("from the wake itself", "no lock is held")) // must not deadlock
	})
	m.Report(report("a", "down"))
	m.Report(report("b", "down"))
	assert.Equal(t, 1, woken, "one wake until somebody looked")
	_ = summaries(t, m)
	m.Report(report("a", "down"))
	assert.Equal(t, 1, woken, "restating is no news")
	m.Report(report("a", "on fire"))
	assert.Equal(t, 2, woken)
	_ = summaries(t, m)
	m.Clear("a")
	assert.Equal(t, 3, woken, "well is news too")
	_ = summaries(t, m)
	m.Clear("a")
	assert.Equal(t, 3, woken)
	m.OnWake(nil)
	m.Report(report("c", "down"))
	assert.Equal(t, 3, woken)
	m.OnWake(func() { woken++ })
	m.Report(report("d", "down"))
	assert.Equal(t, 4, woken, "the next run is not kept waiting by a look of the last one")
}

func TestMailboxCopiesWhatItKeeps(t *testing.T) {
	m := detect.NewMailbox()
	f := detect.Finding{Key: "a", Labels: map[string]string{"x": "1"}, Evidence: []slog.Attr{slog.Int("n", 1)}}
	m.Report(f)
	f.Labels["x"] = "2"
	f.Evidence[0] = slog.Int("n", 2)
	got := one(t, m)
	assert.Equal(t, "1", got.Labels["x"])
	assert.Equal(t, int64(1), got.Evidence[0].Value.Int64())
	f.Evidence[0] = slog.Int("n", 1)
	m.Report(f)
	assert.Equal(t, "1", got.Labels["x"], "an answer that was given is not changed")
	got = one(t, m)
	assert.Equal(t, "2", got.Labels["x"], "other labels are news")
	f.Evidence[0] = slog.Int("n", 2)
	m.Report(f)
	got = one(t, m)
	assert.Equal(t, int64(2), got.Evidence[0].Value.Int64())
	// Evidence that cannot be compared must not panic.
	f.Evidence = []slog.Attr{slog.Any("f", []func(){}), slog.Group("g", slog.Any("h", map[string]int{}))}
	m.Report(f)
	m.Report(f)
	assert.Len(t, one(t, m).Evidence, 2)
}

func TestMailboxDropsAreNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := detect.NewMailboxWith(detect.MailboxOptions{MaxKeys: 2})
		woken := 0
		m.OnWake(func() { woken++ })
		m.Report(report("a", "down"))
		m.Report(report("b", "down"))
		assert.Len(t, summaries(t, m), 2)
		for i := range 3 {
			m.Report(report(fmt.Sprint("c", i), "down"))
		}
		assert.Equal(t, uint64(3), m.Dropped())
		assert.Equal(t, 2, woken, "the first drop is news, the others are more of the same")
		found, err := m.Detect(t.Context())
		assert.Len(t, found, 2)
		assert.ErrorContains(t, err, "dropped 3 reports")

		// Held keys work as ever.
		m.Report(report("a", "on fire"))
		m.Clear("b")
		found, err = m.Detect(t.Context())
		assert.Equal(t, "on fire", found[0].Summary)
		assert.Error(t, err, "a dropped key may still be sick")
		m.Report(report("c0", "down"))
		assert.Equal(t, uint64(3), m.Dropped(), "there is room again")
		assert.Equal(t, 4, woken)

		time.Sleep(15*time.Minute - 1)
		_, err = m.Detect(t.Context())
		assert.Error(t, err)
		m.Report(report("a", "on fire"))
		m.Report(report("c0", "down"))
		time.Sleep(time.Nanosecond)
		assert.Len(t, summaries(t, m), 2, "what was dropped would not hold any longer")
		m.Report(report("x", "down"))
		_, err = m.Detect(t.Context())
		assert.ErrorContains(t, err, "dropped 1 reports", "a new flood counts anew")
		assert.Equal(t, uint64(4), m.Dropped())
	})
}

func TestMailboxExpiredKeysMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := detect.NewMailboxWith(detect.MailboxOptions{MaxKeys: 2})
		for round := range 3 {
			m.Report(report(fmt.Sprint(round, "a"), "down"))
			m.Report(report(fmt.Sprint(round, "b"), "down"))
			time.Sleep(16 * time.Minute) // nobody looks meanwhile
		}
		err := blind(t, m)
		assert.ErrorContains(t, err, `"2a", "2b"`)
		assert.NotContains(t, err.Error(), `"0a"`, "as many unknown keys as live ones, the youngest")
		assert.Equal(t, uint64(4), m.Dropped(), "what was forgotten counts as dropped")
		assert.ErrorContains(t, err, "dropped")
	})
}

func TestMailboxUnlimited(t *testing.T) {
	m := detect.NewMailboxWith(detect.MailboxOptions{MaxKeys: -1})
	valid(t, m)
	for i := range 5000 {
		m.Report(report(fmt.Sprint(i), "down"))
	}
	assert.Len(t, summaries(t, m), 5000)
	assert.Zero(t, m.Dropped())
	n := detect.NewMailbox()
	for i := range 5000 {
		n.Report(report(fmt.Sprint(i), "down"))
	}
	assert.Equal(t, uint64(4000), n.Dropped())
}

func TestMailboxValidate(t *testing.T) {
	assert.Contains(t, invalid(t, detect.NewMailboxWith(detect.MailboxOptions{MaxKeys: -2})), "MaxKeys")
}

func TestMailboxConcurrently(t *testing.T) {
	m := detect.NewMailboxWith(detect.MailboxOptions{MaxKeys: 8})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				m.Report(detect.Finding{Key: fmt.Sprint(i % 12), Value: float64(i * w), Labels: map[string]string{"w": "x"}})
				m.Clear(fmt.Sprint((i + w) % 12))
				found, _ := m.Detect(context.Background())
				for _, f := range found {
					if f.Labels["w"] != "x" {
						t.Error(f)
					}
				}
				m.OnWake(func() { _ = m.Dropped() })
			}
		})
	}
	wg.Wait()
}

// box is the plainest account of a mailbox of three keys.
type box struct {
	live    map[string]detect.Finding
	until   map[string]time.Time
	unknown map[string]time.Time
	dropped uint64
	flood   time.Time
}

const boxKeys = 3

func (b *box) drop(until time.Time) {
	b.dropped++
	if until.After(b.flood) {
		b.flood = until
	}
}

func (b *box) settle(now time.Time) {
	for k, until := range b.until {
		if !now.Before(until) {
			b.unknown[k] = until
			delete(b.live, k)
			delete(b.until, k)
		}
	}
	for len(b.unknown) > boxKeys {
		keys := slices.SortedFunc(maps.Keys(b.unknown), func(x, y string) int {
			if c := b.unknown[x].Compare(b.unknown[y]); c != 0 {
				return c
			}
			return strings.Compare(x, y)
		})
		delete(b.unknown, keys[0])
		b.drop(now.Add(15 * time.Minute))
	}
}

func (b *box) report(f detect.Finding, now time.Time) {
	hold := f.For
	if hold <= 0 {
		hold = 15 * time.Minute
	}
	if _, held := b.live[f.Key]; !held && len(b.live) >= boxKeys {
		b.drop(now.Add(hold))
		return
	}
	delete(b.unknown, f.Key)
	b.live[f.Key], b.until[f.Key] = f, now.Add(hold)
}

// FuzzMailbox plays a script to a mailbox and to the plainest account of one.
func FuzzMailbox(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 0xc0, 5, 0x41})
	f.Add([]byte{0x00, 0x08, 0x10, 0xff, 0x18, 0x20, 0xff, 0x40, 0x28, 0xc1, 0x30, 0x38, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 200 {
			script = script[:200]
		}
		synctest.Test(t, func(t *testing.T) {
			m := detect.NewMailboxWith(detect.MailboxOptions{MaxKeys: boxKeys})
			b := &box{live: map[string]detect.Finding{}, until: map[string]time.Time{}, unknown: map[string]time.Time{}}
			news, woken := false, 0
			m.OnWake(func() { woken++ })
			for i, op := range script {
				key := string('a' + rune(op>>3&7))
				switch op >> 6 {
				case 0, 1:
					f := detect.Finding{Key: key, Value: float64(op & 1), For: time.Duration(op>>1&3) * 7 * time.Minute}
					held, ok := b.live[key]
					news = ok && (held.Value != f.Value || held.For != f.For) || !ok && len(b.live) < boxKeys ||
						!ok && !time.Now().Before(b.flood)
					m.Report(f)
					b.report(f, time.Now())
				case 2:
					_, live := b.live[key]
					_, unknown := b.unknown[key]
					news = live || unknown
					m.Clear(key)
					delete(b.live, key)
					delete(b.until, key)
					delete(b.unknown, key)
				default:
					time.Sleep(time.Duration(op&63) * time.Minute)
					b.settle(time.Now())
					news = false
				}
				require.Equal(t, news, woken == 1, "op %d", i)
				woken = 0
				found, err := m.Detect(t.Context())
				var got, want []detect.Finding
				got = append(got, found...)
				for _, k := range slices.Sorted(maps.Keys(b.live)) {
					want = append(want, b.live[k])
				}
				require.Equal(t, want, got, "op %d", i)
				require.Equal(t, b.dropped, m.Dropped(), "op %d", i)
				flooded := time.Now().Before(b.flood)
				require.Equal(t, len(b.unknown) > 0 || flooded, err != nil, "op %d: %v", i, err)
				for k := range b.unknown {
					require.ErrorContains(t, err, fmt.Sprintf("%q", k))
				}
				if flooded {
					require.ErrorContains(t, err, "dropped")
				}
			}
		})
	})
}
