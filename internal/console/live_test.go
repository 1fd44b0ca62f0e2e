package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// viewer is somebody who reads a stream.
type viewer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	header  http.Header
	stuck   chan struct{} // not nil: a write waits for it
	cancel  context.CancelFunc
	over    bool
	flushes int
}

func (v *viewer) Header() http.Header { return v.header }
func (v *viewer) WriteHeader(int)     {}
func (v *viewer) Write(p []byte) (int, error) {
	if v.stuck != nil {
		<-v.stuck
		return 0, errors.New("gone")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.b.Write(p)
}

// FlushError makes it one that things can be sent to.
func (v *viewer) FlushError() error {
	v.mu.Lock()
	v.flushes++
	v.mu.Unlock()
	return nil
}

func (v *viewer) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.b.String()
}

func (v *viewer) ended() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.over
}

// took returns what came since the last time.
func (v *viewer) took() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.b.String()
	v.b.Reset()
	return s
}

func follow(h http.Handler, path, last string) *viewer {
	ctx, cancel := context.WithCancel(context.Background())
	v := &viewer{header: http.Header{}, cancel: cancel}
	v.follow(ctx, h, path, last)
	return v
}

func (v *viewer) follow(ctx context.Context, h http.Handler, path, last string) {
	r := httptest.NewRequest(http.MethodGet, path, nil).WithContext(ctx)
	r.Host = "localhost"
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	go func() {
		h.ServeHTTP(v, r)
		v.mu.Lock()
		v.over = true
		v.mu.Unlock()
	}()
	synctest.Wait()
}

// patches reads what was sent.
func patches(t *testing.T, text string) (all []patch, last string) {
	for block := range strings.SplitSeq(text, "\n\n") {
		for l := range strings.Lines(block) {
			l = strings.TrimSuffix(l, "\n")
			if id, ok := strings.CutPrefix(l, "id: "); ok {
				last = id
			}
			if data, ok := strings.CutPrefix(l, "data: "); ok && strings.Contains(block, "event: patch") {
				var p patch
				require.NoError(t, json.Unmarshal([]byte(data), &p))
				all = append(all, p)
			}
		}
	}
	return all, last
}

func TestOnlyWhatChangedIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().fill(10_000, 100, 10)
		h := f.handler(t, Options{})
		v := follow(h, "/live?since=", "")
		defer v.cancel()
		all, _ := patches(t, v.took())
		require.Len(t, all, 1)
		require.Len(t, all[0].Lists["open"], cardsPerPage)
		require.Len(t, all[0].Lists["rest"], openPerPage-cardsPerPage)

		f.change(func(s *State) { s.Open[99].Summary = "it got worse" }) // the newest is on top
		f.happen("hold")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		all, _ = patches(t, v.took())
		require.Len(t, all, 1)
		require.Len(t, all[0].Put, 1)
		for _, html := range all[0].Put {
			require.Contains(t, html, "it got worse")
		}
		require.Empty(t, all[0].Lists)

		f.happen("found") // nothing that this reader sees
		time.Sleep(5 * time.Second)
		require.NotContains(t, v.took(), "event: patch")
	})
}

// The most urgent have a card each, the others a line; one that closes makes room.
func TestAnIncidentMovesUpFromTheLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().fill(3, cardsPerPage+2, 0)
		h := f.handler(t, Options{})
		v := follow(h, "/live?since=", "")
		defer v.cancel()
		all, _ := patches(t, v.took())
		require.Len(t, all[0].Lists["rest"], 2)
		next := f.state.Open[1].ID // the newest are on top
		require.Contains(t, all[0].Put[restID(next)], "held by budget")

		f.change(func(s *State) { s.Open = s.Open[:len(s.Open)-1] })
		f.happen("close")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		all, _ = patches(t, v.took())
		require.Len(t, all, 1)
		require.Equal(t, incidentID(next), all[0].Lists["open"][cardsPerPage-1])
		require.Contains(t, all[0].Put[incidentID(next)], "<article")
		require.Equal(t, []string{restID(f.state.Open[0].ID)}, all[0].Lists["rest"])
	})
}

func TestAReaderResumesFromWhatHeHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().fill(60, 3, 2)
		h := f.handler(t, Options{})
		body := page(h, "/").Body.String()
		_, rest, _ := strings.Cut(body, `data-live="`)
		have, _, _ := strings.Cut(rest, `"`)
		v := follow(h, "/live?since="+have, "")
		all, last := patches(t, v.took())
		require.Len(t, all, 1)
		require.Empty(t, all[0].Put, "the page is what he has")
		require.Empty(t, all[0].Lists)
		v.cancel()
		synctest.Wait()
		require.True(t, v.ended())

		f.change(func(s *State) { s.Open[1].Summary = "changed while away" })
		f.happen("hold")
		time.Sleep(time.Second)
		v = follow(h, "/live?since="+have, last)
		all, _ = patches(t, v.took())
		require.Len(t, all[0].Put, 4, "the incident, and the pagers, which are not remembered")
		v.cancel()

		other := newFake().fill(60, 3, 2).handler(t, Options{}) // the process was restarted
		v = follow(other, "/live", last)
		all, _ = patches(t, v.took())
		require.Len(t, all[0].Lists["watches"], rowsPerPage)
		require.Len(t, all[0].Put, rowsPerPage+3+2+4+3)
		v.cancel()
		synctest.Wait()
	})
}

func TestAnIncidentMovesFromOpenToPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().fill(3, 2, 1)
		h := f.handler(t, Options{})
		v := follow(h, "/live", "")
		defer v.cancel()
		v.took()
		f.change(func(s *State) {
			in := s.Open[1]
			in.State, in.Closed = "closed", s.At.Add(time.Hour)
			s.Open, s.Closed = s.Open[:1], append([]*Incident{&in}, s.Closed...)
		})
		f.happen("close")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		all, _ := patches(t, v.took())
		id := incidentID("k3v9x2-1")
		require.Equal(t, []string{incidentID("k3v9x2-0")}, all[0].Lists["open"])
		require.Equal(t, id, all[0].Lists["past"][0])
		require.Contains(t, all[0].Put[id], `class="past"`)
	})
}

func TestAStreamEndsAndBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().fill(3, 0, 0)
		h := f.handler(t, Options{})
		v := follow(h, "/live", "")
		time.Sleep(59 * time.Second)
		require.GreaterOrEqual(t, strings.Count(v.text(), "\n:\n"), 2, "signs of life")
		require.False(t, v.ended())
		time.Sleep(2 * time.Second)
		require.True(t, v.ended(), "so that no Shutdown waits for long")
		v.cancel()

		f.change(func(s *State) { s.Run = "stopped" })
		f.happen("over")
		v = follow(h, "/live", "")
		time.Sleep(time.Second)
		synctest.Wait()
		require.True(t, v.ended())
		require.Contains(t, v.text(), "event: over")
		v.cancel()
	})
}

// A wrapper that collects responses makes the reader poll.
func TestWhereNothingCanBeSentTheReaderPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFake().fill(3, 1, 0).handler(t, Options{})
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/live", nil)
		r.Host = "localhost"
		h.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		require.Contains(t, w.Body.String(), "retry: 5000")
		require.Contains(t, w.Body.String(), "event: patch")
	})
}

func TestASlowViewerHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().fill(3, 1, 0)
		h := f.handler(t, Options{})
		ctx, cancel := context.WithCancel(context.Background())
		slow := &viewer{header: http.Header{}, stuck: make(chan struct{}), cancel: cancel}
		slow.follow(ctx, h, "/live", "")
		v := follow(h, "/live", "")
		for n := range 100 {
			f.change(func(s *State) { s.Open[0].Summary = fmt.Sprint("reading ", n) })
			f.happen("hold")
			time.Sleep(3 * time.Second / 10)
		}
		time.Sleep(2 * time.Second)
		require.Contains(t, v.text(), "reading 99")
		require.Equal(t, http.StatusOK, page(h, "/").Code)
		close(slow.stuck)
		cancel()
		v.cancel()
		synctest.Wait()
		require.True(t, slow.ended())
		require.Empty(t, h.streams)
	})
}

// What much happens costs a bounded share, whatever the number of viewers.
func TestViewersShareAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().fill(10, 2, 2)
		h := f.handler(t, Options{Linger: time.Hour})
		var all []*viewer
		for range 100 {
			all = append(all, follow(h, "/live", ""))
		}
		f.count()
		for range 100 { // ten events a second
			f.happen("hold")
			time.Sleep(100 * time.Millisecond)
		}
		require.LessOrEqual(t, f.count(), 45, "four a second at most")
		time.Sleep(10 * time.Minute)
		require.LessOrEqual(t, f.count(), 65, "and one in ten seconds while nothing happens")
		for _, v := range all {
			v.cancel()
		}
		synctest.Wait()
	})
}

func TestThereIsAnEndToViewers(t *testing.T) {
	h := newFake().handler(t, Options{})
	for range maxStreams {
		h.streams <- struct{}{}
	}
	w := ask(h, http.MethodGet, "/live", "")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "30", w.Header().Get("Retry-After"))
}

func TestEventsResumeWhereTheyEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		h := f.handler(t, Options{})
		f.happen("halt by x: before")
		v := follow(h, "/api/events", "")
		f.happen("resume by x")
		synctest.Wait()
		time.Sleep(time.Second)
		require.NotContains(t, v.text(), "before")
		require.Contains(t, v.text(), `"text":"resume by x"`)
		require.Contains(t, v.text(), "id: 2\n")
		v.cancel()
		f.happen("halt by y: away")
		v = follow(h, "/api/events", "2")
		require.Contains(t, v.took(), "away")
		v.cancel()
		for n := range resumable + 10 {
			f.happen(fmt.Sprint("ask ", n))
		}
		v = follow(h, "/api/events", "3")
		require.Contains(t, v.took(), `{"missed":10}`)
		v.cancel()
		synctest.Wait()
	})
}
