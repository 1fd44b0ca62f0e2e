package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
)

func TestNothingIsStale(t *testing.T) {
	all, err := files()
	require.NoError(t, err)
	for path, want := range all {
		got, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(path)))
		require.NoError(t, err)
		require.Equal(t, string(want), string(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))), "%s is stale: go run ./deploy", path)
	}
}

// expressions are all that is asked of Prometheus.
func expressions() []string {
	var all []string
	for _, r := range rows {
		for _, p := range r.panels {
			for _, q := range p.queries {
				all = append(all, q.expr)
			}
		}
	}
	for _, r := range records {
		all = append(all, r.expr)
	}
	for i := range alerts {
		all = append(all, alerts[i].query)
	}
	return all
}

// Every metric that is asked for exists, and every metric that there is has a place
// where it is looked at.
func TestEveryMetricIsLookedAt(t *testing.T) {
	ch := make(chan *prometheus.Desc, 100)
	selfheal.New(selfheal.Options{}).Collector().Describe(ch)
	close(ch)
	there := map[string]bool{}
	for d := range ch {
		there[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	asked := map[string]bool{}
	for _, e := range expressions() {
		for _, m := range regexp.MustCompile(`\bselfheal_[a-z_]+`).FindAllString(e, -1) {
			asked[regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(m, "")] = true
		}
	}
	for name := range asked {
		require.True(t, there[name], "%s is asked for and does not exist", name)
	}
	notAsked := map[string]bool{"selfheal_incidents_opened_total": true, "selfheal_blips_total": true, "selfheal_notifications_undeliverable_total": true}
	for name := range there {
		require.True(t, asked[name] || notAsked[name], "%s is on no panel and in no rule", name)
	}
}

// program returns where a program is, or ends the test.
func program(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatalf("%s is needed: install %s", name, install)
	}
	t.Skipf("%s is needed: install %s", name, install)
	return ""
}

func TestRules(t *testing.T) {
	promtool := program(t, "promtool", "the Debian package prometheus")
	for _, args := range [][]string{{"check", "rules", "selfheal.yml"}, {"test", "rules", "selfheal_test.yml", "records_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "prometheus"
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// A rule that would not fire is found by the unit tests of the rules: here each
// threshold is broken once.
func TestTheTestsOfTheRulesFindBrokenRules(t *testing.T) {
	promtool := program(t, "promtool", "the Debian package prometheus")
	for i := range alerts {
		a := &alerts[i]
		dir := t.TempDir()
		broken := bytes.Replace(rulesYAML(), []byte(quoted(a.expr())), []byte(quoted(a.query+" > 1e9")), 1)
		require.NotEqual(t, rulesYAML(), broken)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "selfheal.yml"), broken, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "selfheal_test.yml"), testsYAML(alerts[i:i+1]), 0o600))
		cmd := exec.CommandContext(t.Context(), promtool, "test", "rules", "selfheal_test.yml")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.Error(t, err, a.name)
		require.Contains(t, string(out), a.name)
	}
}

// What Grafana needs of a dashboard: unique ids, a place of its own for each panel
// within 24 columns, and a data source that whoever imports it chooses.
func TestTheDashboardIsSound(t *testing.T) {
	text, err := dashboard()
	require.NoError(t, err)
	var b board
	require.NoError(t, json.Unmarshal(text, &b))
	var panels struct{ Panels []chart }
	require.NoError(t, json.Unmarshal(text, &panels))
	ids, taken := map[int]bool{}, map[[2]int]int{}
	for _, p := range panels.Panels {
		require.False(t, ids[p.ID], "id %d twice", p.ID)
		ids[p.ID] = true
		require.Contains(t, []string{"row", "stat", "timeseries"}, p.Type)
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Zero(t, taken[[2]int{x, y}], "%s lies on panel %d", p.Title, taken[[2]int{x, y}])
				taken[[2]int{x, y}] = p.ID
			}
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			require.False(t, refs[q.RefID], p.Title)
			refs[q.RefID] = true
			require.Equal(t, prometheusSource, q.Datasource)
			require.Equal(t, strings.Count(q.Expr, "selfheal_"), strings.Count(q.Expr, sel), "each metric only of the chosen jobs and instances: %s", q.Expr)
		}
	}
}

func TestPromDuration(t *testing.T) {
	for i := range alerts {
		require.Regexp(t, `^[1-9]\d*[smhd]$`, promDuration(alerts[i].at))
	}
}
