package selfheal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// healing is a trial with one incident that healed and one that is held.
func healing(t *testing.T, o selfheal.Options) *selfhealtest.Trial {
	depth := selfhealtest.NewGauge(9)
	trial := selfhealtest.StartWith(t, o,
		selfheal.Watch{Name: "heals", Detector: detect.Above(depth.Read, 5).Unit("jobs"), Playbook: remediate.Ladder(
			remediate.Step{Name: "no-help", Lasting: true, Run: func(context.Context, remediate.Request) error { return errors.New("boom") }},
			remediate.Step{Name: "fix", Undo: do(func() {}), Run: do(func() { depth.Set(1) })},
		)},
		selfheal.Watch{Name: "held", Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Key: "a", Summary: "sick <b>"}}}), Playbook: remediate.Ladder(
			remediate.Step{Name: "reach-out", Scope: remediate.Shared, Lasting: true, Run: do(func() { t.Error("there is no fleet") })},
		)},
		selfheal.Watch{Name: "blind", Detector: selfhealtest.Script(selfhealtest.Frame{Err: errors.New("no route")})},
		selfheal.Watch{Name: "off", Mode: selfheal.Off, Detector: selfhealtest.Script()},
		selfheal.Watch{Name: "well", Detector: selfhealtest.Script()}, selfheal.Watch{Name: "well-too", Detector: selfhealtest.Script()},
	)
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	return trial
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := healing(t, selfheal.Options{}).Supervisor().Collector()
		problems, err := testutil.CollectAndLint(c)
		require.NoError(t, err)
		require.Empty(t, problems)
		require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(`
# HELP selfheal_attempts_total Attempts by outcome.
# TYPE selfheal_attempts_total counter
selfheal_attempts_total{outcome="failed"} 1
selfheal_attempts_total{outcome="healed"} 1
# HELP selfheal_held_total Decisions not to act, by rail.
# TYPE selfheal_held_total counter
selfheal_held_total{rail="scope"} 1
# HELP selfheal_incidents Incidents under way, by watch; those that are still pending included.
# TYPE selfheal_incidents gauge
selfheal_incidents{watch="blind"} 0
selfheal_incidents{watch="held"} 1
selfheal_incidents{watch="heals"} 0
selfheal_incidents{watch="off"} 0
selfheal_incidents{watch="well"} 0
selfheal_incidents{watch="well-too"} 0
# HELP selfheal_incidents_healed_total Incidents that a step healed and nobody was called for: pages avoided.
# TYPE selfheal_incidents_healed_total counter
selfheal_incidents_healed_total 1
# HELP selfheal_pages_total Times that people were told.
# TYPE selfheal_pages_total counter
selfheal_pages_total 2
# HELP selfheal_watches Watches by state: healthy, sick, blind, unknown, off, invalid or removing.
# TYPE selfheal_watches gauge
selfheal_watches{state="blind"} 1
selfheal_watches{state="healthy"} 3
selfheal_watches{state="invalid"} 0
selfheal_watches{state="off"} 1
selfheal_watches{state="removing"} 0
selfheal_watches{state="sick"} 1
selfheal_watches{state="unknown"} 0
`), "selfheal_attempts_total", "selfheal_held_total", "selfheal_incidents", "selfheal_incidents_healed_total", "selfheal_pages_total", "selfheal_watches"))
	})
}

// The table in STABILITY.md is the API: nothing is missing, nothing is stale.
func TestMetricNamesAreThoseOfTheTable(t *testing.T) {
	text, err := os.ReadFile("STABILITY.md")
	require.NoError(t, err)
	var table []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(selfheal_[a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		table = append(table, m[1])
	}
	ch := make(chan *prometheus.Desc, 100)
	selfheal.New(selfheal.Options{}).Collector().Describe(ch)
	close(ch)
	var names []string
	for d := range ch {
		names = append(names, regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1])
	}
	slices.Sort(table)
	slices.Sort(names)
	require.Equal(t, table, names)
}

func TestHandlerServesTheStatusAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		allowed := errors.New("who are you?")
		trial := healing(t, selfheal.Options{Service: "shop", Console: selfheal.ConsoleOptions{Authorize: func(*http.Request) error { return allowed }}})
		h := http.StripPrefix("/any/prefix", trial.Supervisor().Handler())
		get := func(method string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "/any/prefix/", nil))
			return w
		}
		w := get(http.MethodGet)
		require.Equal(t, http.StatusForbidden, w.Code)
		require.NotContains(t, w.Body.String(), "who are you", "the reason is not for strangers")
		allowed = nil
		require.Equal(t, http.StatusMethodNotAllowed, get(http.MethodPost).Code)
		w = get(http.MethodGet)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		var st struct {
			Service string
			State   string
			Watches []struct {
				Name, State, Blind string
				Incidents          []struct {
					Summary string
					HeldBy  string `json:"held_by"`
				}
			}
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &st))
		require.Equal(t, "shop", st.Service)
		require.Equal(t, "running", st.State)
		require.Equal(t, "no route", st.Watches[0].Blind)
		require.Equal(t, "scope", st.Watches[2].Incidents[0].HeldBy)
		require.NotContains(t, w.Body.String(), "<b>", "hostile strings never become markup")
	})
}

// recorder is a tracer that remembers what was started and ended.
type recorder struct {
	noop.TracerProvider
	mu    sync.Mutex
	lines []string
}

func (r *recorder) Tracer(string, ...trace.TracerOption) trace.Tracer { return recording{r: r} }

type recording struct {
	noop.Tracer
	r *recorder
}

func (t recording) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	r := t.r
	r.mu.Lock()
	defer r.mu.Unlock()
	c := trace.NewSpanStartConfig(o...)
	for _, a := range c.Attributes() {
		name += " " + string(a.Key) + "=" + a.Value.String()
	}
	r.lines = append(r.lines, "start "+name)
	return ctx, &span{r: r, name: strings.Fields(name)[0]}
}

type span struct {
	noop.Span
	r    *recorder
	name string
}

func (s *span) End(...trace.SpanEndOption) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.lines = append(s.r.lines, "end "+s.name)
}

func TestOneTraceAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		trial := healing(t, selfheal.Options{Tracer: r})
		trial.Stop()
		var mine []string
		for _, l := range r.lines {
			if !strings.Contains(l, "held") {
				mine = append(mine, regexp.MustCompile(`selfheal.incident=\S+`).ReplaceAllString(l, "selfheal.incident=…"))
			}
		}
		require.Equal(t, []string{
			"start selfheal.incident selfheal.watch=heals selfheal.key= selfheal.incident=… selfheal.severity=warning",
			"start selfheal.attempt selfheal.step=no-help selfheal.attempt=1",
			"end selfheal.attempt",
			"start selfheal.attempt selfheal.step=fix selfheal.attempt=2",
			"end selfheal.attempt",
			"end selfheal.incident",
		}, mine)
	})
}

func TestLogRecordsCarryFixedFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		trial := healing(t, selfheal.Options{Logger: slog.New(slog.NewJSONHandler(&b, nil))})
		trial.Stop()
		known := []string{"time", "level", "msg", "watch", "key", "incident", "severity", "step", "outcome", "rail", "why", "reason", "detail", "target", "error"}
		healed := false
		for line := range strings.Lines(b.String()) {
			var record map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			for field := range record {
				require.Contains(t, known, field, line)
			}
			healed = healed || record["watch"] == "heals" && record["step"] == "fix" && record["outcome"] == "healed"
		}
		require.True(t, healed, b.String())
	})
}
