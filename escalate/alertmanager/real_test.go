package alertmanager_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/alertmanager"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
)

// A real Alertmanager and the webhook that it calls.
type real struct {
	t    *testing.T
	bin  string
	dir  string
	addr string
	cmd  *exec.Cmd

	mu  sync.Mutex
	got []string // "status alertname[severity] summary" of each alert of each notice
}

func startReal(t *testing.T) *real {
	t.Helper()
	bin := ""
	for _, name := range []string{"prometheus-alertmanager", "alertmanager"} {
		if path, err := exec.LookPath(name); err == nil {
			bin = path
			break
		}
	}
	if bin == "" {
		const missing = "no Alertmanager here: apt-get install --no-install-recommends prometheus-alertmanager"
		if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	r := &real{t: t, bin: bin, dir: t.TempDir()}
	hook := httptest.NewServer(r)
	t.Cleanup(hook.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.addr = l.Addr().String()
	require.NoError(t, l.Close())
	config := fmt.Sprintf(`
route: {receiver: test, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: test
  webhook_configs: [{url: %q, send_resolved: true}]
`, hook.URL)
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "am.yml"), []byte(config), 0o600))
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *real) start() {
	r.t.Helper()
	r.cmd = exec.Command(r.bin, "--config.file="+filepath.Join(r.dir, "am.yml"), "--storage.path="+filepath.Join(r.dir, "data"),
		"--web.listen-address="+r.addr, "--cluster.listen-address=")
	var log bytes.Buffer
	r.cmd.Stdout, r.cmd.Stderr = &log, &log
	require.NoError(r.t, r.cmd.Start())
	r.until("Alertmanager answers", func() bool {
		resp, err := http.Get("http://" + r.addr + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// stop ends Alertmanager in the way that lets it save its silences.
func (r *real) stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(os.Interrupt)
	ended := make(chan struct{})
	go func(cmd *exec.Cmd) { _ = cmd.Wait(); close(ended) }(r.cmd)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = r.cmd.Process.Kill()
		<-ended
	}
	r.cmd = nil
}

// ServeHTTP is the webhook.
func (r *real) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var m struct {
		Alerts []struct {
			Status              string
			Labels, Annotations map[string]string
		}
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range m.Alerts {
		r.got = append(r.got, fmt.Sprintf("%s %s[%s] %s", a.Status, a.Labels["alertname"], a.Labels["severity"], a.Annotations["summary"]))
	}
}

func (r *real) saw(want string) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, line := range r.got {
			if strings.HasPrefix(line, want) {
				return true
			}
		}
		return false
	}
}

func (r *real) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("not within 30 s: %s; its webhook got %q", what, r.got)
		}
	}
}

// call is a person at the API.
func (r *real) call(method, path string, body any) []byte {
	r.t.Helper()
	data, err := json.Marshal(body)
	require.NoError(r.t, err)
	req, err := http.NewRequest(method, "http://"+r.addr+path, bytes.NewReader(data))
	require.NoError(r.t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	require.Equal(r.t, http.StatusOK, resp.StatusCode, "%s", answer)
	return answer
}

func (r *real) notifier(change func(*alertmanager.Config)) *alertmanager.Notifier {
	r.t.Helper()
	c := alertmanager.Config{URLs: []string{"http://" + r.addr}, Hold: -1, FindingLabels: []string{"service.name"}}
	change(&c)
	n, err := alertmanager.New(c)
	require.NoError(r.t, err)
	return n
}

// Our alert goes to a real Alertmanager and out of its webhook; a person silences
// it there, which we see; and it ends.
func TestRealAlertmanager(t *testing.T) {
	r := startReal(t)
	n := r.notifier(func(*alertmanager.Config) {})
	changes := make(chan alertmanager.Change, 10)
	stop := begin(t, alertmanager.Feedback{Notifier: n, Every: 50 * time.Millisecond, On: func(_ context.Context, c alertmanager.Change) error {
		changes <- c
		return nil
	}}.Run)
	defer stop()
	next := func() alertmanager.Change {
		select {
		case c := <-changes:
			return c
		case <-time.After(30 * time.Second):
			t.Fatal("Feedback told nothing within 30 s")
			return alertmanager.Change{}
		}
	}

	m := strict.Notice(escalate.Trigger, 1)
	m.Incident.Finding.Severity = detect.Warning
	require.NoError(t, n.Notify(t.Context(), m))
	r.until("the webhook has the alert", r.saw("firing orders/queue-1[warning] orders orders/queue-1[eu <1>]: 9000 jobs"))

	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Update, 1)))
	r.until("the severity has changed", r.saw("firing orders/queue-1[critical]"))
	r.until("the former one has ended", r.saw("resolved orders/queue-1[warning]"))

	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	var made struct{ SilenceID string }
	require.NoError(t, json.Unmarshal(r.call(http.MethodPost, "/api/v2/silences", map[string]any{
		"matchers":  []any{map[string]any{"name": "alertname", "value": "orders/queue-1", "isRegex": false, "isEqual": true}},
		"startsAt":  time.Now().UTC(),
		"endsAt":    until,
		"createdBy": "ann", "comment": "looking at it",
	}), &made))
	c := next()
	require.Equal(t, []string{made.SilenceID, "inc-1", "inc-1", "ann", "looking at it"}, []string{c.ID, c.DedupKey, c.Incident, c.By, c.Comment})
	require.Equal(t, until, c.Until)
	require.False(t, c.Ended)
	r.call(http.MethodDelete, "/api/v2/silence/"+made.SilenceID, nil)
	c = next()
	require.True(t, c.Ended)
	require.Equal(t, made.SilenceID, c.ID)

	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Resolve, 1)))
	r.until("the webhook has the end", r.saw("resolved orders/queue-1[critical] resolved: orders"))
}

// Alertmanager tells nobody of what ended before its group was due, unless it
// fires for that long.
func TestRealAlertmanagerTellsWhatBeganAndEnded(t *testing.T) {
	r := startReal(t)
	n := r.notifier(func(c *alertmanager.Config) { c.Hold = 3 * time.Second })
	m := strict.Notice(escalate.Resolve, 1)
	m.BeganAndEnded = true
	require.NoError(t, n.Notify(t.Context(), m))
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 2)))
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Resolve, 2)), "at once")
	r.until("it is told", r.saw("firing orders/queue-1[critical] began and ended: orders"))
	r.until("it is over", r.saw("resolved orders/queue-1[critical] began and ended: orders"))
	r.until("the short one is told", r.saw("firing orders/queue-2[critical]"))
	r.until("the short one is over", r.saw("resolved orders/queue-2[critical]"))
}

// A restarted Alertmanager has forgotten every alert; Run tells it.
func TestRealAlertmanagerIsToldAgainAfterARestart(t *testing.T) {
	r := startReal(t)
	n := r.notifier(func(c *alertmanager.Config) { c.Resend = 100 * time.Millisecond })
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Trigger, 1)))
	r.until("the webhook has the alert", r.saw("firing orders/queue-1"))
	r.stop()
	r.start()
	listed := func() bool {
		return strings.Contains(string(r.call(http.MethodGet, "/api/v2/alerts", nil)), "orders/queue-1")
	}
	require.False(t, listed())
	stop := begin(t, n.Run)
	r.until("it has the alert again", listed)
	stop()
	require.NoError(t, n.Notify(t.Context(), strict.Notice(escalate.Resolve, 1)))
	r.until("the webhook has the end", r.saw("resolved orders/queue-1"))
}
