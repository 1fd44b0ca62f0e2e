package alertmanager_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/alertmanager"
	"github.com/selfheal-go/selfheal/detect/internal/receive"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// patience is for a machine that is slow and shared.
const patience = 60 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

// program finds a server, or ends the test.
func program(t *testing.T, name, pkg string) string {
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatalf("%s is missing: install the package %s", name, pkg)
	}
	t.Skipf("%s is missing: install the package %s", name, pkg)
	return ""
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// serve starts a server and stops it by its process at the end of the test.
func serve(t *testing.T, address, path string, args ...string) {
	var said bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Dir = t.TempDir()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(path), said.String())
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	eventually(t, path+" is ready", func() bool {
		answer, err := client.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

func write(t *testing.T, name, content string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// watched notes what a supervisor says.
type watched struct {
	mu    sync.Mutex
	lines []string
}

func (w *watched) Observe(_ context.Context, e selfheal.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, e.String())
}

func (w *watched) count(part string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if strings.Contains(l, part) {
			n++
		}
	}
	return n
}

// A disk is full. Prometheus sees it, Alertmanager posts it, the receiver hands
// it to a supervisor, whose step empties the disk; Prometheus sees that too, and
// the incident closes. The step has run once, however often the alert was
// repeated.
func TestPrometheusAndAlertmanager(t *testing.T) {
	prometheus, am := program(t, "prometheus", "prometheus"), program(t, "prometheus-alertmanager", "prometheus-alertmanager")
	var full atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "disk_full{mount=\"/var\"} %d\n", full.Load())
	}))
	defer service.Close()

	receiver, err := alertmanager.New(alertmanager.Config{Bearer: token, Repeat: 2 * time.Second, Expiry: time.Minute, Lag: 10 * time.Second})
	require.NoError(t, err)
	var refuse atomic.Bool
	posts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		receiver.ServeHTTP(w, r)
	}))
	defer posts.Close()

	amAddress, promAddress := freePort(t), freePort(t)
	serve(t, amAddress, am, "--storage.path="+t.TempDir(), "--web.listen-address="+amAddress, "--cluster.listen-address=",
		"--config.file="+write(t, "am.yml", `
route: {receiver: selfheal, group_by: [alertname], group_wait: 100ms, group_interval: 500ms, repeat_interval: 2s}
receivers:
  - name: selfheal
    webhook_configs:
      - url: `+posts.URL+`
        send_resolved: true
        http_config: {authorization: {credentials: `+token+`}}
`))
	rules := write(t, "rules.yml", `
groups:
  - name: disk
    interval: 300ms
    rules:
      - alert: HostDiskFull
        expr: disk_full == 1
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.mount }} is full"}
`)
	serve(t, promAddress, prometheus, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+promAddress,
		"--rules.alert.resend-delay=1s",
		"--config.file="+write(t, "p.yml", `
global: {scrape_interval: 300ms, scrape_timeout: 300ms, evaluation_interval: 300ms}
rule_files: [`+rules+`]
alerting: {alertmanagers: [{static_configs: [{targets: ["`+amAddress+`"]}]}]}
scrape_configs: [{job_name: service, static_configs: [{targets: ["`+strings.TrimPrefix(service.URL, "http://")+`"]}]}]
`))

	d := receiver.Alerts("HostDiskFull", "severity=critical", `mount="/var"`)
	runs := atomic.Int64{}
	seen := &watched{}
	s := selfheal.New(selfheal.Options{Escalate: escalate.To(escalate.Log(nil)), Observer: seen})
	s.Watch(selfheal.Watch{
		Name: "disk-full", Detector: d, Every: 100 * time.Millisecond, KeepFor: time.Second,
		Playbook: remediate.Ladder(remediate.Step{
			Name: "empty", Lasting: true, Settle: 10 * time.Second,
			Run: func(_ context.Context, r remediate.Request) error {
				if r.Finding.Summary != "/var is full" || r.Finding.Severity != detect.Critical {
					return fmt.Errorf("unexpected finding %+v", r.Finding)
				}
				runs.Add(1)
				full.Store(0)
				return nil
			},
		}),
	})
	require.NoError(t, s.Validate())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		require.NoError(t, <-done)
	}()

	all := receiver.All()
	refuse.Store(true) // Alertmanager tries again after a 503
	full.Store(1)
	eventually(t, "the alert is known to Alertmanager, and refused", func() bool {
		answer, err := http.Get("http://" + amAddress + "/api/v2/alerts")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		var b bytes.Buffer
		_, _ = b.ReadFrom(answer.Body)
		return strings.Contains(b.String(), "HostDiskFull")
	})
	refuse.Store(false)
	eventually(t, "the alert is found", func() bool {
		found, _ := all.Detect(t.Context())
		if len(found) > 0 {
			require.Equal(t, receive.Fingerprint(found[0].Labels), found[0].Key, "our fingerprint is Alertmanager's")
		}
		return runs.Load() > 0
	})
	eventually(t, "the alert is resolved", func() bool {
		found, err := d.Detect(t.Context())
		return err == nil && len(found) == 0
	})
	eventually(t, "the incident is closed", func() bool { return seen.count("close") > 0 })
	require.Equal(t, int64(1), runs.Load(), "repeats restart nothing: %v", seen.lines)
	require.Equal(t, 1, seen.count("open disk-full"))
	http.DefaultClient.CloseIdleConnections()
}
