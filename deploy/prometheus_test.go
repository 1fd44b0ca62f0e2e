//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// start runs a program until the test ends, and returns its first line.
func start(t *testing.T, path string, args ...string) string {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = t.TempDir()
	log, err := os.Create(filepath.Join(cmd.Dir, "log"))
	require.NoError(t, err)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		killer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer killer.Stop()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s: %s", filepath.Base(path), text[max(len(text)-4000, 0):])
		}
	})
	if args[0] != "-listen" {
		return ""
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

// freePort is one that nobody listens on for now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// prom asks a Prometheus.
type prom struct{ base string }

func (p prom) get(ctx context.Context, path string, to any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s", answer.Error)
	}
	return json.Unmarshal(answer.Data, to)
}

// numbers are the values of a query that are numbers.
func (p prom) numbers(ctx context.Context, expr string) ([]string, error) {
	var data struct{ Result []struct{ Value [2]any } }
	if err := p.get(ctx, "/api/v1/query?query="+url.QueryEscape(expr), &data); err != nil {
		return nil, err
	}
	var all []string
	for _, r := range data.Result {
		if v := r.Value[1].(string); v != "NaN" {
			all = append(all, v)
		}
	}
	return all, nil
}

// eventually asks again until f has nothing to complain of.
func eventually(t *testing.T, within time.Duration, f func() error) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(500 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Every query of the dashboard and of the rules returns data from a Prometheus that
// scrapes a service with everything wrong, and every rule is evaluated.
func TestEveryQueryReturnsData(t *testing.T) {
	path := program(t, "prometheus", "the Debian package prometheus")
	dir := t.TempDir()
	demo := filepath.Join(dir, "demo")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", demo, "./demo").CombinedOutput()
	require.NoError(t, err, "%s", out)
	metrics, err := url.Parse(start(t, demo, "-listen", "127.0.0.1:0"))
	require.NoError(t, err)

	rules := strings.Replace(string(rulesYAML()), "interval: 1m", "interval: 1s", 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(rules), 0o600))
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\nscrape_configs: [{job_name: demo, static_configs: [{targets: [%q]}]}]\n", metrics.Host)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	address := freePort(t)
	start(t, path, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	p := prom{"http://" + address}

	concrete := strings.NewReplacer("$job", ".+", "$instance", ".+", "$__rate_interval", "5m", "$__range", "1h")
	for _, expr := range expressions() {
		asked := concrete.Replace(expr)
		eventually(t, 3*time.Minute, func() error {
			numbers, err := p.numbers(t.Context(), asked)
			if err == nil && len(numbers) == 0 {
				err = fmt.Errorf("no data: %s", asked)
			}
			return err
		})
	}
	for _, r := range records {
		eventually(t, time.Minute, func() error {
			numbers, err := p.numbers(t.Context(), r.name)
			if err == nil && len(numbers) == 0 {
				err = fmt.Errorf("no data: %s", r.name)
			}
			return err
		})
	}
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
	pending := map[string]bool{}
	require.NoError(t, p.get(t.Context(), "/api/v1/rules", &data))
	n := 0
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			require.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
			pending[r.Name] = r.State == "pending" || r.State == "firing"
			n++
		}
	}
	require.Equal(t, len(records)+len(alerts), n)
	require.True(t, pending["SelfhealBlind"], "what is wrong with the demo is on its way to people")
	require.True(t, pending["SelfhealBreakerOpen"])
	require.False(t, pending["SelfhealStuck"])
}
