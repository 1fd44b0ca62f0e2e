package selfheal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
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
			require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
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

// asking is a trial in which a step waits for a yes, and what it tells people.
func asking(t *testing.T, o selfheal.Options, ran *int) (*selfhealtest.Trial, *selfhealtest.Pager, *selfhealtest.Pager) {
	called, informed := &selfhealtest.Pager{}, &selfhealtest.Pager{}
	o.Console.BaseURL = "https://ops.example/orders"
	o.Console.LinkKeys = [][]byte{[]byte("0123456789abcdef0123456789abcdef")}
	policy := escalate.To(escalate.Named("called", called))
	policy.Inform = []escalate.Notifier{escalate.Named("informed", informed)}
	trial := selfhealtest.StartWith(t, o, selfheal.Watch{
		Name: "store", Escalate: policy, Runbook: "https://runbooks.example/store",
		Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Key: "a", Severity: detect.Critical, Summary: "full"}}}),
		Playbook: remediate.Ladder(remediate.Step{Name: "drop", Risk: remediate.Destructive, Lasting: true, Run: do(func() { *ran++ })}),
	})
	time.Sleep(10 * time.Second)
	synctest.Wait()
	return trial, called, informed
}

func linksOf(ns []escalate.Notification, text string) (hrefs []string) {
	for _, n := range ns {
		for _, l := range n.Links {
			if strings.HasPrefix(l.Text, text) {
				hrefs = append(hrefs, l.Href)
			}
		}
	}
	return hrefs
}

func TestASignedLinkShowsAndActsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []selfheal.Control
		ran := 0
		trial, called, informed := asking(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked)}}, &ran)
		for _, n := range append(informed.Pages(), informed.Resolved()...) {
			require.Empty(t, n.Links, "who is only informed gets no link")
		}
		b := browser{t, trial.Supervisor().Handler()}
		var all []string
		for _, n := range called.Pages() {
			require.Equal(t, "Console", n.Links[0].Text)
			for _, l := range n.Links {
				all = append(all, l.Href)
			}
		}
		for _, href := range all { // a crawler follows every link
			u, err := url.Parse(href)
			require.NoError(t, err)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				w := b.ask(method, u.RequestURI(), "", "Accept", "text/html", "Host", "ops.example")
				require.Equal(t, http.StatusOK, w.Code)
				require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
			}
		}
		synctest.Wait()
		require.Zero(t, ran)
		require.Empty(t, asked, "to look takes no authority")
		require.Len(t, trial.Supervisor().Status().Proposals, 1)

		approve := linksOf(called.Pages(), "Approve")[0]
		u, _ := url.Parse(approve)
		page := b.page(u.RequestURI())
		require.Contains(t, page, "destructive")
		require.Contains(t, page, "store[a]")
		form := []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}
		body := url.Values{"t": {u.Query().Get("t")}}.Encode()
		w := b.ask(http.MethodPost, u.Path, body, form...)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, ran)
		require.Equal(t, selfheal.ControlApprove, asked[0].Kind)
		for range 3 {
			require.NotEqual(t, http.StatusOK, b.ask(http.MethodPost, u.Path, body, form...).Code)
		}
		synctest.Wait()
		require.Equal(t, 1, ran)

		ack, _ := url.Parse(linksOf(called.Pages(), "Acknowledge")[0])
		body = url.Values{"t": {ack.Query().Get("t")}}.Encode()
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, ack.Path, body, form...).Code)
		require.Equal(t, http.StatusGone, b.ask(http.MethodPost, ack.Path, body, form...).Code)
	})
}

// What is told to inform may be read by anybody, so it holds no link even for
// those who are called too.
func TestWhoIsInformedTooGetsNoLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &selfhealtest.Pager{}
		both := escalate.Named("both", p)
		policy := escalate.To(both)
		policy.Inform = []escalate.Notifier{both}
		selfhealtest.StartWith(t, selfheal.Options{Console: selfheal.ConsoleOptions{BaseURL: "https://ops.example/", LinkKeys: [][]byte{make([]byte, 16)}}}, selfheal.Watch{
			Name: "w", Escalate: policy, Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Summary: "sick"}}}),
		})
		time.Sleep(time.Minute)
		require.NotEmpty(t, p.Pages())
		for _, n := range p.Pages() {
			require.Empty(t, n.Links)
		}
	})
}

func TestALinkIsNoAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		trial, called, _ := asking(t, selfheal.Options{}, &ran)
		b := browser{t, trial.Supervisor().Handler()}
		u, _ := url.Parse(linksOf(called.Pages(), "Approve")[0])
		require.Equal(t, http.StatusForbidden, b.ask(http.MethodPost, u.RequestURI(), "").Code)
		token := u.Query().Get("t")
		for n := range token { // whatever is changed, it is no link any longer
			bad := []byte(token)
			bad[n] ^= 1
			w := b.get(u.Path + "?t=" + url.QueryEscape(string(bad)))
			require.Equal(t, http.StatusBadRequest, w.Code)
		}
		synctest.Wait()
		require.Zero(t, ran)
	})
}

func TestApprovalIsOfThePlanThatWasShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []selfheal.Control
		ran := 0
		trial, _, _ := asking(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked)}}, &ran)
		b := browser{t, trial.Supervisor().Handler()}
		p := trial.Supervisor().Status().Proposals[0]
		require.Contains(t, b.page("/"), "May drop run on store[a]?")
		require.Equal(t, http.StatusConflict, b.ask(http.MethodPost, "/api/approve", fmt.Sprintf(`{"proposal":%q,"plan":"another"}`, p.ID)).Code)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Zero(t, ran)
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "/api/approve", fmt.Sprintf(`{"proposal":%q,"plan":%q}`, p.ID, p.Fingerprint)).Code)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, ran)
	})
}

func TestEvidenceIsWhatTheIncidentNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []selfheal.Control
		opened := []string{}
		o := selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked), Evidence: func(ref string) (io.ReadSeekCloser, error) {
			opened = append(opened, ref)
			return content{strings.NewReader("profile")}, nil
		}}}
		gauge := selfhealtest.NewGauge(9)
		trial := selfhealtest.StartWith(t, o, selfheal.Watch{
			Name: "w", Detector: detect.Above(gauge.Read, 5),
			Evidence: []escalate.Gatherer{escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) {
				return []escalate.Evidence{{Name: "heap", Type: "application/zip", Ref: "r1"}}, nil
			})},
			Playbook: remediate.Ladder(remediate.Step{Name: "fix", Lasting: true, Settle: time.Hour, Run: do(func() {})}),
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b := browser{t, trial.Supervisor().Handler()}
		id := trial.Supervisor().Status().Watches[0].Incidents[0].ID
		require.Contains(t, b.page("/"), "evidence?incident="+id+"&amp;ref=r1")
		w := b.get("/evidence?incident=" + id + "&ref=r1")
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "profile", w.Body.String())
		require.Equal(t, `attachment; filename=r1.zip`, w.Header().Get("Content-Disposition"))
		require.Equal(t, http.StatusNotFound, b.get("/evidence?incident="+id+"&ref=../../etc/passwd").Code)
		require.Equal(t, http.StatusNotFound, b.get("/evidence?incident=x&ref=r1").Code)
		require.Equal(t, []string{"r1"}, opened)
		require.Equal(t, selfheal.Control{Kind: selfheal.ControlEvidence, Watch: "w", Incident: id, Evidence: "r1"}, asked[0])
	})
}

type content struct{ *strings.Reader }

func (content) Close() error { return nil }

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

func TestAUsedLinkIsUsedForTheNextLifeToo(t *testing.T) {
	dir := t.TempDir()
	token := ""
	until := time.Now().Add(20 * time.Second)
	life := func(f func(b browser, s *selfheal.Supervisor)) {
		j, err := selfheal.OpenJournal(dir)
		if err != nil {
			t.Skipf("no journal on this system: %v", err)
		}
		var asked []selfheal.Control
		told := make(chan escalate.Notification, 100)
		s := selfheal.New(selfheal.Options{
			Journal: j, Logger: quiet, Every: 20 * time.Millisecond,
			Escalate: escalate.To(escalate.Named("pager", escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
				told <- n
				return nil
			}))),
			Console: selfheal.ConsoleOptions{Authorize: allow(&asked), BaseURL: "https://ops.example/", LinkKeys: [][]byte{[]byte("0123456789abcdef")}},
		})
		s.Watch(selfheal.Watch{Name: "w", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			return []detect.Finding{{Summary: "sick"}}, nil
		})})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		if token == "" {
			u, err := url.Parse(linksOf([]escalate.Notification{<-told}, "Acknowledge")[0])
			require.NoError(t, err)
			token = u.RawQuery
		}
		b := browser{t, s.Handler()}
		for b.ask(http.MethodGet, "/link?"+token, "", "Accept", "text/html").Code != http.StatusOK { // the incident is open
			require.True(t, time.Now().Before(until))
			time.Sleep(10 * time.Millisecond)
		}
		f(b, s)
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, j.Close())
	}
	life(func(b browser, _ *selfheal.Supervisor) {
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "/link?"+token, "").Code)
	})
	life(func(b browser, _ *selfheal.Supervisor) {
		require.Equal(t, http.StatusGone, b.ask(http.MethodPost, "/link?"+token, "").Code)
		var journal struct{ Lines []struct{ Text string } }
		b.json("/api/journal", &journal)
		var all []string
		for _, l := range journal.Lines {
			all = append(all, l.Text)
		}
		require.Contains(t, all, "ack w by alice", "the history goes on where the last life ended")
		var week struct{ Opened int }
		b.json("/api/week", &week)
		require.Equal(t, 1, week.Opened)
	})
}
