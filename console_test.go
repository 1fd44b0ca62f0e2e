package selfheal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// browser asks a handler as a browser on the same machine does.
type browser struct {
	t *testing.T
	h http.Handler
}

func (b browser) ask(method, path, body string, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost:8080"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n+1 < len(header); n += 2 {
		if header[n] == "Host" {
			r.Host = header[n+1]
		}
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	return w
}

func (b browser) get(path string) *httptest.ResponseRecorder { return b.ask(http.MethodGet, path, "") }

func (b browser) page(path string) string {
	b.t.Helper()
	w := b.ask(http.MethodGet, path, "", "Accept", "text/html")
	require.Equal(b.t, http.StatusOK, w.Code, w.Body.String())
	return w.Body.String()
}

func (b browser) json(path string, to any) {
	b.t.Helper()
	w := b.get(path)
	require.Equal(b.t, http.StatusOK, w.Code, w.Body.String())
	require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), to), w.Body.String())
}

// allow lets everybody do everything as alice, and notes what was asked.
func allow(asked *[]selfheal.Control) func(*http.Request, selfheal.Control) (string, error) {
	return func(_ *http.Request, c selfheal.Control) (string, error) {
		*asked = append(*asked, c)
		return "alice", nil
	}
}

func TestHandlerServesTheStatusToThoseWhoRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trial := healing(t, selfheal.Options{Service: "shop"})
		b := browser{t, http.StripPrefix("/any/prefix", trial.Supervisor().Handler())}
		for _, path := range []string{"/any/prefix/", "/any/prefix/status", "/any/prefix/api/status"} {
			w := b.get(path)
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			require.Equal(t, "same-origin", w.Header().Get("Referrer-Policy"))
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
		}
		require.Equal(t, http.StatusMethodNotAllowed, b.ask(http.MethodPost, "/any/prefix/", "").Code)
		require.Equal(t, http.StatusNotFound, b.get("/any/prefix/nothing").Code)
	})
}

func TestThePageShowsWhatIsOpenAndWhatWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trial := healing(t, selfheal.Options{Service: "shop"})
		for _, prefix := range []string{"", "/deep/down"} { // with and without StripPrefix
			b := browser{t, trial.Supervisor().Handler()}
			page := b.page(prefix + "/")
			require.Contains(t, page, "held by scope")
			require.Contains(t, page, "sick &lt;b&gt;")
			require.NotContains(t, page, "sick <b>")
			require.Contains(t, page, "fix healed it")
			require.Contains(t, page, "<polyline", "the chart of the incident that healed")
			var past struct{ Incidents []struct{ ID string } }
			b.json(prefix+"/api/incidents?state=closed", &past)
			require.Contains(t, b.get(prefix+"/api/incident?id="+past.Incidents[0].ID).Body.String(), `"clear": true`, "that it was gone was read")
			require.Contains(t, page, "<dt>pages avoided</dt><dd>1</dd>")
			require.NotContains(t, page, "<button class=\"stop\">", "nobody may do anything")
			id := regexp.MustCompile(`incident\?id=([^"]+)"`).FindStringSubmatch(page)[1]
			require.Contains(t, b.page(prefix+"/incident?id="+id), "What happened")
			require.Contains(t, b.page(prefix+"/watch?name=heals"), "looked at every")
		}
	})
}

func TestReadersUnderAForeignNameAreRefused(t *testing.T) {
	s := selfheal.New(selfheal.Options{Console: selfheal.ConsoleOptions{Hosts: []string{"orders.example"}, BaseURL: "https://ops.example/orders/"}})
	b := browser{t, s.Handler()}
	for host, code := range map[string]int{
		"localhost": 200, "127.0.0.1:80": 200, "[::1]:80": 200, "127.9.9.9": 200, "x.localhost:1": 200,
		"orders.example": 200, "ORDERS.example:8443": 200, "ops.example": 200, "orders.example.": 200,
		"evil.example": 421, "orders.example.evil.example": 421, "10.0.0.1": 421, "": 421, "localhost.evil": 421,
	} {
		require.Equal(t, code, b.ask(http.MethodGet, "/", "", "Host", host).Code, host)
	}
}

func TestControlsAreOffUnlessTheApplicationSaysYes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		controls := map[string]string{
			"halt": `{"reason":"x"}`, "resume": `{}`, "silence": `{"watch":"*","for":"1h","reason":"x"}`, "unsilence": `{"silence":"x"}`,
			"ack": `{"incident":"x"}`, "snooze": `{"incident":"x","for":"1h"}`, "approve": `{"proposal":"x","plan":"y"}`,
			"reject": `{"proposal":"x"}`, "look": `{"watch":"held"}`, "plan": `{"watch":"held"}`,
		}
		for name, authorize := range map[string]func(*http.Request, selfheal.Control) (string, error){
			"nil":    nil,
			"no":     func(*http.Request, selfheal.Control) (string, error) { return "alice", errors.New("secret reason") },
			"nobody": func(*http.Request, selfheal.Control) (string, error) { return " ", nil },
			"panics": func(*http.Request, selfheal.Control) (string, error) { panic("secret") },
		} {
			trial := healing(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: authorize}})
			b := browser{t, trial.Supervisor().Handler()}
			for verb, body := range controls {
				w := b.ask(http.MethodPost, "/api/"+verb, body)
				require.Equal(t, http.StatusForbidden, w.Code, name+" "+verb+w.Body.String())
				require.NotContains(t, w.Body.String(), "secret", "the reason is not for strangers")
			}
			for _, path := range []string{"/journal", "/api/journal", "/evidence?incident=x&ref=y"} {
				require.Equal(t, http.StatusForbidden, b.get(path).Code, name+path)
			}
			st := trial.Supervisor().Status()
			require.Nil(t, st.Halted)
			require.Empty(t, st.Silences)
			trial.Stop()
		}
	})
}

func TestEachControlWorksAndIsOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []selfheal.Control
		trial := healing(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked)}})
		s := trial.Supervisor()
		b := browser{t, s.Handler()}
		ok := func(verb, body string) string {
			t.Helper()
			w := b.ask(http.MethodPost, "/selfheal/api/"+verb, body)
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			synctest.Wait()
			return w.Body.String()
		}
		id := ""
		for _, w := range s.Status().Watches {
			if w.Name == "held" {
				id = w.Incidents[0].ID
			}
		}
		ok("halt", `{"reason":"a release"}`)
		require.Equal(t, "alice", s.Status().Halted.By)
		require.Contains(t, b.page("/"), "a release")
		ok("resume", "")
		require.Nil(t, s.Status().Halted)
		ok("silence", `{"watch":"well*","for":"90","reason":"noise","labels":{"a":"b"}}`)
		require.Equal(t, map[string]string{"a": "b"}, s.Status().Silences[0].Labels)
		ok("unsilence", fmt.Sprintf(`{"silence":%q}`, s.Status().Silences[0].ID))
		require.Empty(t, s.Status().Silences)
		ok("snooze", fmt.Sprintf(`{"incident":%q,"for":"1h"}`, id))
		ok("ack", fmt.Sprintf(`{"incident":%q}`, id))
		require.Contains(t, b.page("/"), "taken by alice")
		ok("look", `{"watch":"well"}`)
		var plan struct {
			Steps []struct{ Step, Would string }
		}
		require.NoError(t, json.Unmarshal([]byte(ok("plan", `{"watch":"held"}`)), &plan))
		require.Equal(t, "be held", plan.Steps[0].Would)

		var journal struct{ Lines []struct{ Text string } }
		b.json("/api/journal", &journal)
		var said []string
		for _, l := range journal.Lines {
			if strings.Contains(l.Text, "alice") {
				said = append(said, l.Text)
			}
		}
		require.Equal(t, []string{
			"plan held by alice", "look well by alice", "ack held[a] by alice", "snooze held[a] by alice",
			"unsilence by alice", "silence by alice: noise", "resume by alice", "halt by alice: a release",
		}, said)
		require.Equal(t, selfheal.Control{Kind: selfheal.ControlLook, Watch: "well"}, asked[6])
		for verb, body := range map[string]string{"ack": `{"incident":"x"}`, "approve": `{"proposal":"x","plan":"y"}`, "look": `{"watch":"x"}`, "plan": `{"watch":"x"}`, "unsilence": `{"silence":"x"}`} {
			require.Equal(t, http.StatusNotFound, b.ask(http.MethodPost, "/api/"+verb, body).Code, verb)
		}
		require.Equal(t, http.StatusBadRequest, b.ask(http.MethodPost, "/api/look", `{"watch":"off"}`).Code)
	})
}

func TestAPageOfAnotherSiteCannotUseTheControls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []selfheal.Control
		trial := healing(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked)}})
		b := browser{t, trial.Supervisor().Handler()}
		for _, h := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
		} {
			w := b.ask(http.MethodPost, "/api/halt", `{"reason":"x"}`, h...)
			require.Equal(t, http.StatusForbidden, w.Code, h)
		}
		require.Equal(t, http.StatusMethodNotAllowed, b.get("/api/halt").Code)
		require.Empty(t, asked)
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "/api/halt", `{"reason":"x"}`, "Sec-Fetch-Site", "same-origin").Code)
	})
}

// What is told to inform may be read by anybody, so it holds no link even for
func TestWrongConsoleOptionsAreWiringMistakes(t *testing.T) {
	for what, o := range map[string]selfheal.ConsoleOptions{
		"BaseURL":  {BaseURL: "orders.example"},
		"Hosts":    {Hosts: []string{"https://orders.example/"}},
		"LinkKeys": {LinkKeys: [][]byte{[]byte("short")}},
	} {
		s := selfheal.New(selfheal.Options{Console: o, Logger: quiet})
		require.ErrorContains(t, s.Validate(), what)
		require.Equal(t, http.StatusInternalServerError, browser{t, s.Handler()}.get("/").Code)
	}
}

// Viewers who read nothing cost the supervisor nothing: it decides, and others see.
func TestSlowViewersHoldUpNoHealing(t *testing.T) {
	s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: nobody, Every: 10 * time.Millisecond})
	s.Watch(selfheal.Watch{Name: "w", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
		return []detect.Finding{{Summary: strings.Repeat("sick ", 2000)}}, nil // so that what is sent fills what lies between
	})})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	srv := httptest.NewServer(s.Handler())
	defer func() {
		srv.CloseClientConnections()
		srv.Close()
		cancel()
		require.NoError(t, <-done)
	}()
	for n := range 20 {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
		_, err = fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", []string{"live", "api/events"}[n%2])
		require.NoError(t, err)
	}
	for n := range 500 {
		require.NoError(t, s.Halt("bob", fmt.Sprint("release ", n, strings.Repeat(".", 4000))))
		require.NoError(t, s.Resume("bob"))
	}
	b := browser{t, s.Handler()}
	require.Eventually(t, func() bool { // the queue behind the journal of the page is emptied all the same
		return strings.Contains(b.ask(http.MethodGet, "/api/status?brief=1", "").Body.String(), `"state": "running"`) && s.Status().Halted == nil
	}, 20*time.Second, 10*time.Millisecond)
	require.Zero(t, s.Status().Counts.Dropped)
}

// A step that runs says when it is over at the latest, unless it is tried again.
func TestThePageCountsDownTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for tries, counted := range map[int]bool{1: true, 3: false} {
			wait := remediate.Step{
				Name: "wait", Lasting: true, Timeout: 7 * time.Minute, Retry: remediate.Backoff{Tries: tries},
				Run: func(ctx context.Context, _ remediate.Request) error { <-ctx.Done(); return ctx.Err() },
			}
			trial := selfhealtest.Start(t, selfheal.Watch{
				Name: "w", Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Summary: "sick"}}}), Playbook: remediate.Ladder(wait),
			})
			time.Sleep(10 * time.Second)
			synctest.Wait()
			b := browser{t, trial.Supervisor().Handler()}
			var in struct {
				State  string
				Until  time.Time
				Ladder []struct{ Started time.Time }
			}
			b.json("/api/incident?id="+trial.Supervisor().Status().Watches[0].Incidents[0].ID, &in)
			require.Equal(t, "acting", in.State)
			require.Equal(t, counted, in.Until.Equal(in.Ladder[0].Started.Add(7*time.Minute)))
			require.Equal(t, counted, strings.Contains(b.page("/"), "the step is running, <time"))
			trial.Stop()
		}
	})
}
