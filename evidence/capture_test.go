package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

func part(name string, f func(ctx context.Context, w io.Writer) error) Part {
	return Part{Name: name, Type: TextType, Write: func(ctx context.Context, _ escalate.Incident, w io.Writer) error { return f(ctx, w) }}
}

// Parts that hang, panic, end their goroutine, fail or write too much cost what
// they would have captured, and nothing else.
func TestABadPartCostsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, StoreOptions{})
		until := make(chan struct{})
		var calls atomic.Int32
		g := Capture(Options{Store: s, Bytes: 3 << 20, Parts: []Part{
			text("first.txt", "first\n"),
			part("panic.txt", func(context.Context, io.Writer) error { panic("boom") }),
			part("goexit.txt", func(context.Context, io.Writer) error { runtime.Goexit(); return nil }),
			part("hang.txt", func(_ context.Context, w io.Writer) error {
				first := calls.Add(1) == 1
				fmt.Fprint(w, "as far as it came\nand half a li")
				<-until // ignores its context
				if _, err := fmt.Fprint(w, "later"); first && !errors.Is(err, errOver) {
					t.Error("it writes on although nobody waits for it:", err)
				}
				return nil
			}),
			part("slow.txt", func(ctx context.Context, w io.Writer) error { <-ctx.Done(); return context.Cause(ctx) }),
			part("fails.txt", func(_ context.Context, w io.Writer) error { fmt.Fprint(w, "part\n"); return errors.New("no more") }),
			part("absent.txt", func(context.Context, io.Writer) error { return absent("it is off") }),
			part("empty.txt", func(context.Context, io.Writer) error { return nil }),
			part("long.txt", func(_ context.Context, w io.Writer) error {
				_, err := io.WriteString(w, strings.Repeat("0123456789\n", 1<<20))
				return err
			}),
			{Name: "long.bin", Type: "application/octet-stream", Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
				_, err := w.Write(make([]byte, 3<<20))
				return err
			}},
			text("last.txt", "last\n"),
		}})
		began := time.Now()
		found, err := g.Gather(t.Context(), patient())
		require.LessOrEqual(t, time.Since(began), 2*time.Second)
		for _, want := range []string{"panic.txt: it panicked: boom", "goexit.txt: it ended its goroutine", "hang.txt: left behind: it did not return within 800ms", "slow.txt: context deadline exceeded", "fails.txt: no more", "long.bin: left out: it has more than"} {
			require.ErrorContains(t, err, want)
		}
		require.NotContains(t, err.Error(), "absent.txt")
		require.NotContains(t, err.Error(), "empty.txt")
		require.Len(t, found, 1)
		files := unpacked(t, s, found[0].Ref)
		require.Equal(t, "as far as it came\n", string(files["hang.txt"]))
		require.Equal(t, "part\n", string(files["fails.txt"]))
		require.Equal(t, "first\n", string(files["first.txt"]))
		require.Equal(t, "last\n", string(files["last.txt"]))
		require.LessOrEqual(t, len(files["long.txt"]), mostText)
		require.True(t, strings.HasSuffix(string(files["long.txt"]), "\n0123456789\n"))
		require.Len(t, files, 6)
		all, err := s.List()
		require.NoError(t, err)
		require.Contains(t, notes(all[0]), "long.txt: cut at 1048576 bytes\n")
		require.Contains(t, notes(all[0]), "absent.txt: there is nothing to capture: it is off\n")
		require.Contains(t, notes(all[0]), "empty.txt: it wrote nothing\n")
		require.Equal(t, "inc-7 orders/queue-depth eu 2", fmt.Sprint(all[0].Incident, " ", all[0].Watch, " ", all[0].Key, " ", all[0].Attempt))

		// What was left behind is not called again until it has returned.
		_, err = g.Gather(t.Context(), patient())
		require.ErrorContains(t, err, "hang.txt: it was left behind")
		require.EqualValues(t, 1, calls.Load())
		close(until)
		synctest.Wait()
		_, err = g.Gather(t.Context(), patient())
		require.NotContains(t, err.Error(), "hang.txt")
		require.EqualValues(t, 2, calls.Load())
	})
}

// Whatever hangs, the fix waits for no longer than its budget, and what was
// captured until then is kept.
func TestACaptureIsOverInTime(t *testing.T) {
	for _, budget := range []time.Duration{0, 500 * time.Millisecond, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t, StoreOptions{})
			until := make(chan struct{})
			defer close(until)
			hang := func(context.Context, io.Writer) error { <-until; return nil }
			o := Options{Store: s, Time: budget, Parts: []Part{text("first.txt", "x\n")}}
			for n := range 20 {
				o.Parts = append(o.Parts, part(fmt.Sprintf("hang-%d.txt", n), hang))
			}
			o.Gatherers = []escalate.Gatherer{escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) { <-until; return nil, nil })}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // the caller's own end comes first for 10 s
			defer cancel()
			began := time.Now()
			found, err := Capture(o).Gather(ctx, patient())
			require.Error(t, err)
			want := min(3*time.Second, budget)
			if budget == 0 {
				want = 2 * time.Second
			}
			require.LessOrEqual(t, time.Since(began), want)
			require.Equal(t, "x\n", string(read(t, s, found[0].Ref+"/first.txt")))
		})
	}
}

func TestAStoreThatHangsIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, StoreOptions{})
		disk := &stuck{until: make(chan struct{})}
		s.shelf = disk
		g := Capture(Options{Store: s, Parts: []Part{text("a.txt", "a\n")}})
		began := time.Now()
		_, err := g.Gather(t.Context(), patient())
		require.ErrorContains(t, err, "is its disk well?")
		require.Equal(t, 2*time.Second, time.Since(began))
		_, err = g.Gather(t.Context(), patient())
		require.ErrorIs(t, err, ErrBusy, "its turn lasts until the store is done with it")
		close(disk.until)
		synctest.Wait()
		require.Len(t, refs(t, s), 1, "it was not lost")
		_, err = g.Gather(t.Context(), patient())
		require.NoError(t, err)
	})
}

// Two captures into one store never overlap, of whichever gatherer they are: the
// second waits, and not longer than its time.
func TestCapturesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, StoreOptions{})
		var now, most atomic.Int32
		slow := part("slow.txt", func(ctx context.Context, w io.Writer) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			select {
			case <-ctx.Done():
			case <-time.After(600 * time.Millisecond):
			}
			_, err := io.WriteString(w, "x\n")
			return err
		})
		var wg sync.WaitGroup
		var kept atomic.Int32
		capture := func(budget time.Duration) error {
			found, err := Capture(Options{Store: s, Time: budget, Parts: []Part{slow}}).Gather(t.Context(), patient())
			kept.Add(int32(len(found)))
			return err
		}
		for range 3 {
			wg.Go(func() { _ = capture(2 * time.Second) })
		}
		synctest.Wait()
		began := time.Now()
		require.ErrorIs(t, capture(300*time.Millisecond), ErrBusy)
		require.Equal(t, 300*time.Millisecond, time.Since(began))
		wg.Wait()
		require.EqualValues(t, 1, most.Load())
		require.EqualValues(t, 3, kept.Load())
		require.Len(t, refs(t, s), 3)
	})
}

func TestACancelledCaptureKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, StoreOptions{})
		ctx, cancel := context.WithCancelCause(t.Context())
		g := Capture(Options{Store: s, Parts: []Part{text("a.txt", "a\n"), part("b.txt", func(ctx context.Context, _ io.Writer) error {
			cancel(errors.New("the service ends"))
			<-ctx.Done()
			return nil
		}), text("c.txt", "c\n")}})
		_, err := g.Gather(ctx, patient())
		require.ErrorContains(t, err, "the service ends")
		require.Empty(t, refs(t, s))
		_, err = g.Gather(ctx, patient())
		require.ErrorContains(t, err, "the service ends")
	})
}

// No capture is larger than its budget, whatever its parts write.
func TestACaptureKeepsItsBytes(t *testing.T) {
	for _, budget := range []int64{1, 100, 5000, 1 << 20} {
		s := newStore(t, StoreOptions{})
		o := Options{Store: s, Bytes: budget, Time: time.Minute}
		for n := range 30 {
			data := strings.Repeat(fmt.Sprintf("password=%c\n", 'a'+n%26), n*n*40) // a mask is longer than what it hides
			o.Parts = append(o.Parts, text(fmt.Sprintf("%d.txt", n), data))
		}
		found, _ := Capture(o).Gather(t.Context(), patient())
		if budget < 100 { // no line fits
			require.Empty(t, found)
			continue
		}
		var size int64
		for name, data := range unpacked(t, s, found[0].Ref) {
			if name != manifest {
				size += int64(len(data))
				require.NotContains(t, string(data), "password=a")
			}
		}
		require.LessOrEqual(t, size, budget)
		if budget >= 5000 {
			require.Greater(t, size, budget/2)
		}
	}
}

func TestGatherersOfTheApplication(t *testing.T) {
	s := newStore(t, StoreOptions{})
	theirs := escalate.Evidence{Name: "dump", Ref: "https://user:canary-pw@files.example/dump", Type: "text/plain", Bytes: 7, At: time.Now()}
	g := Capture(Options{
		Store: s, Parts: []Part{text("a.txt", "a\n")},
		Gatherers: []escalate.Gatherer{
			escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) {
				return []escalate.Evidence{theirs}, errors.New("half of it")
			}),
			escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) { panic("boom") }),
		},
		Link: func(ref string) string { return "https://console.example/evidence/" + ref },
	})
	found, err := g.Gather(t.Context(), patient())
	require.ErrorContains(t, err, "Gatherers[0]: half of it")
	require.ErrorContains(t, err, "Gatherers[1]: it panicked: boom")
	ref := refs(t, s)[0]
	require.Equal(t, "https://console.example/evidence/"+ref, found[0].Ref)
	require.Equal(t, "bundle of a.txt", found[0].Name)
	require.Equal(t, "application/zip", found[0].Type)
	require.Equal(t, int64(len(read(t, s, ref))), found[0].Bytes)
	require.Equal(t, theirs, found[1], "a notifier redacts for itself, and needs the address")
	all, err := s.List()
	require.NoError(t, err)
	require.Equal(t, "https://***@files.example/dump", all[0].Elsewhere[0].Ref)

	g = Capture(Options{Store: s, Parts: []Part{text("a.txt", "a\n")}, Link: func(string) string { panic("boom") }})
	found, err = g.Gather(t.Context(), patient())
	require.NoError(t, err)
	require.Equal(t, refs(t, s)[1], found[0].Ref)
}

func TestOptionsAreChecked(t *testing.T) {
	s := newStore(t, StoreOptions{})
	for want, o := range map[string]Options{
		"Store is nil":              {},
		"Options.Time is -1":        {Store: s, Time: -1},
		"Options.Bytes is -1":       {Store: s, Bytes: -1},
		"the store holds":           {Store: s, Bytes: 1 << 40},
		"negative field":            {Store: s, LogQuery: LogQuery{Bytes: -1}},
		"has no Name":               {Store: s, Parts: []Part{{}}},
		"has no Write":              {Store: s, Parts: []Part{{Name: "a"}}},
		`two parts are named "a"`:   {Store: s, Parts: []Part{text("a", ""), text("a", "")}},
		"Gatherers[0] is nil":       {Store: s, Gatherers: []escalate.Gatherer{nil}},
		`names "heap"`:              {Store: s, Disable: []string{"heap"}},
		"named \"heap.pb.gz\": giv": {Store: s, Parts: []Part{text("heap.pb.gz", "")}},
	} {
		g := Default(o)
		require.ErrorContains(t, g.(interface{ Validate() error }).Validate(), want)
		_, err := g.Gather(t.Context(), patient())
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, refs(t, s))
	require.NoError(t, Default(Options{Store: s, Disable: []string{"heap.pb.gz", "trace.out"}}).(*gatherer).Validate())
}

func TestNothingCapturedIsNoBundle(t *testing.T) {
	s := newStore(t, StoreOptions{})
	found, err := Capture(Options{Store: s, Parts: []Part{part("a.txt", func(context.Context, io.Writer) error { return absent("off") })}}).Gather(t.Context(), patient())
	require.ErrorContains(t, err, "nothing was captured")
	require.Empty(t, found)
	require.Empty(t, refs(t, s))
}
