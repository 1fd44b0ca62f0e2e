package pagerduty_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/internal/receivetest"
	"github.com/selfheal-go/selfheal/detect/pagerduty"
)

const secret = "canary-secret"

func sign(key, body string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(body))
	return "v1=" + hex.EncodeToString(h.Sum(nil))
}

func request(tb testing.TB, body string) *http.Request {
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-PagerDuty-Signature", "v1="+strings.Repeat("0", 64)+","+sign(secret, body))
	r.Header.Set("X-Webhook-Id", "5ac64822-4adc-4fda-ade0-410becf0de4f")
	return r
}

// heard is who is told.
type heard struct {
	mu  sync.Mutex
	all []pagerduty.Acknowledgement
	err error
}

func (h *heard) take(_ context.Context, a pagerduty.Acknowledgement) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	h.all = append(h.all, a)
	return nil
}

func (h *heard) told() (told []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.all {
		told = append(told, string(a.Kind))
	}
	return told
}

func receiver(tb testing.TB, c pagerduty.Config) *pagerduty.Receiver {
	if c.Secrets == nil {
		c.Secrets = []detect.Secret{"older", secret}
	}
	c.Logger = receivetest.Quiet()
	r, err := pagerduty.New(c)
	require.NoError(tb, err)
	return r
}

func event(id, kind, key string, at time.Time) string {
	b, _ := json.Marshal(map[string]any{"event": map[string]any{
		"id": id, "event_type": "incident." + kind, "occurred_at": at.UTC().Format("2006-01-02T15:04:05.000Z"),
		"agent": map[string]string{"type": "user_reference", "summary": "Earline Greenholt"},
		"data":  map[string]any{"id": "PGR0VU2", "type": "incident", "incident_key": key},
	}})
	return string(b)
}

func file(tb testing.TB, name string) string {
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(tb, err)
	return string(b)
}

func TestRecordedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &heard{}
		r := receiver(t, pagerduty.Config{OnAcknowledgement: h.take})
		at := time.Now()
		for _, name := range []string{"acknowledged.json", "automation.json", "note.json", "ping.json"} {
			body := strings.ReplaceAll(file(t, name), "2026-03-01T12:00:00Z", at.UTC().Format(time.RFC3339))
			require.Equal(t, 200, receivetest.Send(r, request(t, body)), name)
			at = at.Add(time.Second)
		}
		require.Equal(t, []pagerduty.Acknowledgement{
			{
				DedupKey: "d3640fbd41094207a1c11e58e46b1662", By: "Earline Greenholt", At: h.all[0].At, Kind: pagerduty.Acknowledged,
				ID: "01BWQ5XZ1YQ7K7", Incident: "PGR0VU2", URL: "https://acme.pagerduty.com/incidents/PGR0VU2",
			},
			{
				DedupKey: "d3640fbd41094207a1c11e58e46b1662", At: h.all[1].At, Kind: pagerduty.Resolved,
				ID: "01BWQ5XZ1YQ7K8", Incident: "PGR0VU2", URL: "https://acme.pagerduty.com/incidents/PGR0VU2",
			},
		}, h.all)
		require.Equal(t, map[string]uint64{"other event": 2}, r.Stats().Ignored)
		require.Equal(t, uint64(2), r.Stats().Taken)
	})
}

func TestSignatures(t *testing.T) {
	h := &heard{}
	r := receiver(t, pagerduty.Config{OnAcknowledgement: h.take, Secrets: []detect.Secret{"old"}, HMACSecret: "new"})
	n := 0
	post := func(header func(body string) string) int {
		n++
		body := event(fmt.Sprint(n), "acknowledged", fmt.Sprint(n), time.Now())
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		if s := header(body); s != "" {
			q.Header.Set("X-PagerDuty-Signature", s)
		}
		return receivetest.Send(r, q)
	}
	require.Equal(t, 200, post(func(b string) string { return sign("new", b) }))
	require.Equal(t, 200, post(func(b string) string { return sign("other", b) + ", " + sign("old", b) }))
	require.Equal(t, 401, post(func(string) string { return "" }))
	require.Equal(t, 401, post(func(b string) string { return sign("other", b) }))
	require.Equal(t, 401, post(func(b string) string { return strings.TrimPrefix(sign("new", b), "v1=") }))
	require.Equal(t, 401, post(func(b string) string { return strings.Replace(sign("new", b), "v1", "v2", 1) }))
	require.Equal(t, 401, post(func(b string) string { return sign("new", b+" ") }))
	require.Equal(t, 401, post(func(b string) string { return strings.Repeat("v1=00,", 20) + sign("new", b) }), "nobody signs that often")
	require.Len(t, h.told(), 2)
}

// PagerDuty repeats for 48 h, in order; what is older than that is a replay.
func TestOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &detect.MemoryStore{}
		h := &heard{}
		r := receiver(t, pagerduty.Config{OnAcknowledgement: h.take, Store: store})
		post := func(body string) int { return receivetest.Send(r, request(t, body)) }
		began := time.Now()
		ack := event("1", "acknowledged", "k", began)
		require.Equal(t, 200, post(ack))
		require.Equal(t, 200, post(ack))
		time.Sleep(time.Minute)
		un := event("2", "unacknowledged", "k", time.Now())
		require.Equal(t, 200, post(un))
		require.Equal(t, 200, post(ack), "what was earlier")
		require.Equal(t, 200, post(event("3", "acknowledged", "other", began)), "another incident")
		require.Equal(t, []string{"acknowledged", "unacknowledged", "acknowledged"}, h.told())
		require.Equal(t, map[string]uint64{"repeated": 1, "older": 1}, r.Stats().Ignored)

		r = receiver(t, pagerduty.Config{OnAcknowledgement: h.take, Store: store})
		require.Equal(t, 200, post(un), "told before the restart")
		require.Equal(t, 200, post(ack))
		require.Equal(t, map[string]uint64{"repeated": 1, "older": 1}, r.Stats().Ignored)
		require.Len(t, h.told(), 3)

		late := event("4", "resolved", "k", time.Now())
		time.Sleep(48 * time.Hour)
		require.Equal(t, 200, post(late))
		time.Sleep(time.Hour)
		require.Equal(t, 403, post(late))
		require.Equal(t, 403, post(event("5", "resolved", "k", time.Now().Add(time.Hour))))
		_ = receiver(t, pagerduty.Config{OnAcknowledgement: h.take, Store: store})
		entries, err := store.Load(t.Context())
		require.NoError(t, err)
		require.Empty(t, entries, "what the window refuses anyway")
	})
}

func TestACallThatFailsIsRepeated(t *testing.T) {
	store := &receivetest.BrokenStore{}
	h := &heard{err: errors.New("no leader")}
	r := receiver(t, pagerduty.Config{OnAcknowledgement: h.take, Store: store})
	body := event("1", "acknowledged", "k", time.Now())
	post := func() int { return receivetest.Send(r, request(t, body)) }
	require.Equal(t, 503, post())
	h.err = nil
	store.Err = errors.New("disk full")
	require.Equal(t, 503, post(), "told, and not stored")
	store.Err, store.Panic = nil, true
	require.Equal(t, 503, post())
	store.Panic = false
	require.Equal(t, 200, post())
	require.Equal(t, 200, post())
	require.Equal(t, []string{"acknowledged", "acknowledged", "acknowledged"}, h.told(), "at least once, under one id")
	require.Equal(t, map[string]uint64{"callback": 1, "not stored": 2}, r.Stats().Failed)

	r = receiver(t, pagerduty.Config{OnAcknowledgement: func(context.Context, pagerduty.Acknowledgement) error { panic("nil map") }})
	require.Equal(t, 500, post())
	require.Equal(t, 500, post(), "its key is not busy for ever")
}

func TestOneKeyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		r := receiver(t, pagerduty.Config{OnAcknowledgement: func(ctx context.Context, a pagerduty.Acknowledgement) error {
			if a.ID != "1" {
				return nil
			}
			select {
			case <-free:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}})
		now := time.Now()
		first := make(chan int)
		slow := request(t, event("1", "acknowledged", "k", now))
		go func() { first <- receivetest.Send(r, slow) }()
		synctest.Wait()
		require.Equal(t, 503, receivetest.Send(r, request(t, event("2", "resolved", "k", now.Add(time.Second)))))
		require.Equal(t, 200, receivetest.Send(r, request(t, event("3", "resolved", "other", now))))
		require.Equal(t, 503, <-first, "ctx ends before PagerDuty's 5 s")
		require.Less(t, time.Since(now), 5*time.Second)
		close(free)
		require.Equal(t, 200, receivetest.Send(r, request(t, event("1", "acknowledged", "k", now))))
	})
}

func TestUselessEventsAreCounted(t *testing.T) {
	for body, want := range map[string]string{
		"{": "malformed", "[]": "undated", `{"event":{"occurred_at":"soon"}}`: "undated",
		event("1", "triggered", "k", time.Now()):   "other event",
		event("1", "acknowledged", "", time.Now()): "no incident key",
		strings.Replace(event("1", "acknowledged", "k", time.Now()), `"type":"incident"`, `"type":"incident_note"`, 1): "other event",
	} {
		h := &heard{}
		r := receiver(t, pagerduty.Config{OnAcknowledgement: h.take})
		require.Equal(t, 200, receivetest.Send(r, request(t, body)), body)
		require.Equal(t, map[string]uint64{want: 1}, r.Stats().Ignored, body)
		require.Empty(t, h.told())
	}
}

// Whatever the order of arrival, nobody is told of what happened before what he
// was told already, nothing twice, and the last always.
func TestAnyOrderOfArrival(t *testing.T) {
	began := time.Now().Add(-time.Hour)
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		h := &heard{}
		r := receiver(t, pagerduty.Config{OnAcknowledgement: h.take})
		var arrivals []int
		for n := range 6 {
			arrivals = append(arrivals, n)
			if random.IntN(2) == 0 {
				arrivals = append(arrivals, n)
			}
		}
		random.Shuffle(len(arrivals), func(i, j int) { arrivals[i], arrivals[j] = arrivals[j], arrivals[i] })
		for _, n := range arrivals {
			kind := []string{"acknowledged", "unacknowledged", "resolved"}[n%3]
			require.Equal(t, 200, receivetest.Send(r, request(t, event(fmt.Sprint(n), kind, "k", began.Add(time.Duration(n)*time.Second)))))
		}
		for i := 1; i < len(h.all); i++ {
			require.True(t, h.all[i].At.After(h.all[i-1].At), "%v", arrivals)
		}
		require.Equal(t, "5", h.all[len(h.all)-1].ID, "%v", arrivals)
	}
}

func TestAtOnce(t *testing.T) {
	h := &heard{}
	r := receiver(t, pagerduty.Config{OnAcknowledgement: h.take, Store: &detect.MemoryStore{}})
	var wg sync.WaitGroup
	now := time.Now()
	for g := range 4 {
		var requests []*http.Request
		for n := range 10 {
			requests = append(requests, request(t, event(fmt.Sprint(g, n), "acknowledged", fmt.Sprint(g), now.Add(time.Duration(n)*time.Millisecond))))
		}
		wg.Go(func() {
			for _, q := range requests {
				if code := receivetest.Send(r, q); code != 200 {
					t.Errorf("answered %d", code)
				}
				_ = r.Stats()
			}
		})
	}
	wg.Wait()
	require.Len(t, h.told(), 40)
}

func TestMistakes(t *testing.T) {
	take := (&heard{}).take
	for _, c := range []struct {
		c    pagerduty.Config
		want string
	}{
		{pagerduty.Config{OnAcknowledgement: take}, "nothing proves where a request comes from: set Secrets"},
		{pagerduty.Config{Secrets: []detect.Secret{"a"}}, "OnAcknowledgement is nil"},
		{pagerduty.Config{Secrets: []detect.Secret{"a"}, Insecure: true, OnAcknowledgement: take}, "Insecure is set beside"},
		{pagerduty.Config{Secrets: []detect.Secret{"a", ""}, OnAcknowledgement: take}, "Secrets[1] is empty"},
		{pagerduty.Config{Secrets: []detect.Secret{"a"}, ReplayWindow: time.Hour, OnAcknowledgement: take}, "for 48h0m0s, so use at least that"},
		{pagerduty.Config{Secrets: []detect.Secret{"a"}, MaxBody: -1, OnAcknowledgement: take}, "MaxBody"},
	} {
		_, err := pagerduty.New(c.c)
		require.ErrorContains(t, err, c.want)
	}
}

func FuzzReceiver(f *testing.F) {
	for _, name := range []string{"acknowledged.json", "automation.json", "note.json", "ping.json"} {
		f.Add(strings.ReplaceAll(file(f, name), "2026-03-01T12:00:00Z", time.Now().UTC().Format(time.RFC3339)), true)
	}
	f.Add(`{"event":{"agent":null,"data":[]}}`, false)
	f.Fuzz(func(t *testing.T, body string, signed bool) {
		h := &heard{}
		r := receiver(t, pagerduty.Config{OnAcknowledgement: h.take, MaxBody: 64 << 10})
		q := request(t, body)
		if !signed {
			q.Header.Set("X-PagerDuty-Signature", sign("x"+secret, body))
		}
		code := receivetest.Send(r, q)
		switch {
		case !signed:
			require.Equal(t, 4, code/100)
			require.Empty(t, h.told())
		default:
			require.Less(t, code, 500)
			require.Len(t, h.told(), int(r.Stats().Taken))
		}
		for _, a := range h.all {
			require.NotEmpty(t, a.DedupKey)
			require.False(t, a.At.IsZero())
		}
	})
}
