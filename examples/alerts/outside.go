package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// monitoring plays Alertmanager: it posts version 4 of its webhook.
type monitoring struct {
	url   string
	show  *screen
	since map[string]time.Time
}

// posts posts one alert and expects it to be taken.
func (m *monitoring) posts(ctx context.Context, status, name, summary string) error {
	code, err := m.post(ctx, token, status, name, summary)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("the receiver answered %d", code)
	}
	m.show.print("monitoring", "%s %s", name, status)
	return err
}

// late says that an alert is over, as late as monitoring does.
func (m *monitoring) late(ctx context.Context, name, summary string) error {
	select {
	case <-time.After(lag * 3 / 4):
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.posts(ctx, "resolved", name, summary)
}

// forged posts without the token: no proof of origin, no action.
func (m *monitoring) forged(ctx context.Context) error {
	code, err := m.post(ctx, "guessed", "firing", "HostDiskFull", "delete everything")
	if err != nil {
		return err
	}
	if code != http.StatusUnauthorized {
		return fmt.Errorf("a forged alert was answered with %d", code)
	}
	m.show.print("somebody", "posts an alert without the token, and is refused")
	return nil
}

func (m *monitoring) post(ctx context.Context, bearer, status, name, summary string) (int, error) {
	if m.since == nil {
		m.since = map[string]time.Time{}
	}
	if m.since[name].IsZero() {
		m.since[name] = time.Now()
	}
	alert := map[string]any{
		"status": status, "fingerprint": name, "startsAt": m.since[name], "endsAt": time.Time{},
		"labels":      map[string]string{"alertname": name, "mount": "/var", "severity": "critical"},
		"annotations": map[string]string{"summary": summary},
	}
	if status == "resolved" {
		alert["endsAt"] = time.Now()
	}
	b, err := json.Marshal(map[string]any{"version": "4", "status": status, "receiver": "selfheal", "groupKey": "{}", "alerts": []any{alert}})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// pager is what people have in their pockets: it believes signed webhooks only.
type pager struct {
	*http.Server
	show           *screen
	told, resolved atomic.Int64
}

func newPager(show *screen) (*pager, error) {
	p := &pager{show: show}
	server, err := listen(p)
	p.Server = server
	return p, err
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil || !signed(r.Header, body) {
		http.Error(w, "not signed", http.StatusUnauthorized)
		return
	}
	var event struct {
		Type string
		Data struct {
			Kind     string
			Incident struct{ Finding struct{ Summary string } }
		}
	}
	if err := json.Unmarshal(body, &event); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.show.print("pager", "%s: %s", event.Data.Kind, event.Data.Incident.Finding.Summary)
	if event.Data.Kind == "resolve" {
		p.resolved.Add(1)
	} else {
		p.told.Add(1)
	}
}

// signed checks a signature of Standard Webhooks.
func signed(h http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", h.Get("webhook-id"), h.Get("webhook-timestamp"), body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(want), []byte(h.Get("webhook-signature")))
}
