package console

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The JSON of the API is stable: a change of these files is a change of the API.
func TestTheJSONIsGolden(t *testing.T) {
	f := newFake().fill(2, 2, 1)
	f.state.Open[0].Proposal = &Proposal{ID: "k3v9x2-p1", Step: "restart", Risk: "destructive", Scope: "self", Target: "team-0/queue-00000[eu-1]", Text: "restart: destructive, self, lasting, timeout 30s", Fingerprint: "0123456789abcdef", Expires: f.state.At.Add(15 * time.Minute)}
	f.state.Open = f.state.Open[:1]
	f.history.Take(Line{Seq: 1, Time: f.state.At, Watch: "selfheal", Text: "halt by alice: a release"}, News{})
	src := f.source()
	src.Trail = func(string) (Trail, bool) {
		tr := fakeTrail(f.state.At)
		return Trail{Samples: tr.Samples[59:61], Marks: tr.Marks[:2]}, true
	}
	h, err := New(Options{Source: src, Authorize: yes})
	require.NoError(t, err)
	for name, path := range map[string]string{
		"watches": "/api/watches", "watch": "/api/watch?name=team-0/queue-00000", "incidents": "/api/incidents?state=all",
		"incident": "/api/incident?id=k3v9x2-0", "week": "/api/week", "journal": "/api/journal", "error": "/api/watch?name=none",
	} {
		w := ask(h, http.MethodGet, path, "")
		golden(t, name, w.Body.Bytes())
	}
	golden(t, "done", ask(h, http.MethodPost, "/api/halt", `{"reason":"x"}`).Body.Bytes())
	golden(t, "plan", ask(h, http.MethodPost, "/api/plan", `{"watch":"x"}`).Body.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))), string(got), file)
}

func TestListsArePaged(t *testing.T) {
	h := newFake().fill(250, 150, 20).handler(t, Options{})
	var a struct {
		Total   int
		Watches []struct{ Name string }
	}
	seen := map[string]bool{}
	for offset := 0; offset < 300; offset += 100 {
		w := ask(h, http.MethodGet, fmt.Sprintf("/api/watches?offset=%d", offset), "")
		a.Watches = nil
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
		require.Equal(t, 250, a.Total)
		for _, x := range a.Watches {
			seen[x.Name] = true
		}
	}
	require.Len(t, seen, 250)
	var b struct{ Total int }
	for query, total := range map[string]int{"": 150, "?state=closed": 20, "?state=all": 170, "?q=queue-00003": 1, "?q=nothing": 0} {
		require.NoError(t, json.Unmarshal(ask(h, http.MethodGet, "/api/incidents"+query, "").Body.Bytes(), &b))
		require.Equal(t, total, b.Total, query)
	}
}

func TestWhatIsWrongWithAControlIsSaid(t *testing.T) {
	f := newFake()
	h := f.handler(t, Options{Authorize: yes})
	for body, say := range map[string]string{
		`halt {}`: "reason", `halt {"reason":" "}`: "reason", `halt {"reasn":"x"}`: "unknown field",
		`halt {"reason":"x"} {}`: "more than one", `halt [`: "unexpected", `halt "x"`: "cannot unmarshal",
		`silence {"watch":"x","reason":"x"}`: "for", `silence {"watch":"x","reason":"x","for":"-1h"}`: "90m",
		`silence {"watch":"x","reason":"x","for":"9999h"}`: "year", `silence {"reason":"x","for":"1h"}`: "to stop everything, halt",
		`snooze {"incident":"x"}`: "for", `ack {}`: "incident", `approve {"proposal":"x"}`: "fingerprint", `reject {}`: "proposal",
		`look {}`: "watch", `unsilence {}`: "silence", `look {"watch":"` + strings.Repeat("x", 1001) + `"}`: "1000 bytes",
		`halt {"reason":"` + strings.Repeat("x", maxBody) + `"}`: "bytes",
	} {
		verb, body, _ := strings.Cut(body, " ")
		w := ask(h, http.MethodPost, "/api/"+verb, body)
		require.Equal(t, http.StatusBadRequest, w.Code, body[:min(len(body), 80)])
		require.Contains(t, w.Body.String(), say)
	}
	require.Equal(t, http.StatusBadRequest, ask(h, http.MethodPost, "/api/halt", "x", "Content-Type", "text/plain").Code)
	require.Empty(t, f.orders)
}

func TestAFormReturnsWhereItCameFrom(t *testing.T) {
	f := newFake()
	h := f.handler(t, Options{Authorize: yes})
	for _, c := range []struct{ back, to string }{
		{"", "../?done=ack"}, {"incident?id=a%26b", "../incident?done=ack&id=a%26b"}, {"watch?name=x/y", "../watch?done=ack&name=x%2Fy"},
		{"https://evil.example/", "../?done=ack"}, {"//evil.example", "../?done=ack"}, {"javascript:alert(1)", "../?done=ack"}, {"incident?%zz", "../incident?done=ack"},
	} {
		body := url.Values{"incident": {"x"}, "back": {c.back}}.Encode()
		w := ask(h, http.MethodPost, "/deep/api/ack", body, "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html")
		require.Equal(t, http.StatusSeeOther, w.Code)
		require.Equal(t, c.to, w.Header().Get("Location"))
	}
	require.Contains(t, page(h, "/?done=ack").Body.String(), "Done: ack.")
	require.NotContains(t, page(h, "/?done=%3Cb%3Eyou+won").Body.String(), "you won", "nobody makes the page say what it does not mean")
}

func TestErrorsAreWhatTheyAre(t *testing.T) {
	f := newFake()
	h := f.handler(t, Options{Authorize: yes})
	for err, code := range map[error]int{ErrNoSuch: 404, ErrStale: 409, ErrUsed: 410, ErrBad: 400, fs.ErrNotExist: 404, http.ErrServerClosed: 500} {
		f.fail = fmt.Errorf("so: %w", err)
		w := ask(h, http.MethodPost, "/api/resume", "")
		require.Equal(t, code, w.Code)
		require.Contains(t, w.Body.String(), "so: ")
		require.Contains(t, page(h, "/none").Body.String(), "That did not work")
	}
}

func FuzzAPI(f *testing.F) {
	f.Add("POST", "/api/halt", "", "application/json", `{"reason":"x"}`)
	f.Add("POST", "/api/silence", "", "application/x-www-form-urlencoded", `watch=a&for=1h&reason=x&back=incident?id=1`)
	f.Add("GET", "/api/watches", "q=%00&offset=-1&limit=99999999999999999999", "", "")
	f.Add("GET", "/", "open=3&watches=7&past=1&state=sick&q=<b>", "", "")
	f.Add("GET", "/evidence", "incident=k3v9x2-0&ref=../../x", "", "")
	f.Add("POST", "/link", "t=a.b", "application/x-www-form-urlencoded", "t=eyJ9.eA")
	f.Add("GET", "//api//api/watch", "name=team-0/queue-00000", "", "")
	fk := newFake().fill(30, 5, 5)
	src := fk.source()
	src.Evidence = nil
	h, err := New(Options{Source: src, Authorize: yes, Base: "https://ops.example/", Keys: [][]byte{make([]byte, 32)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, query, kind, body string) {
		switch method {
		case "GET", "HEAD", "POST", "PUT", "DELETE":
		default:
			return
		}
		if to := route(path); to == "live" || to == "api/events" {
			return // which last
		}
		for _, accept := range []string{"text/html", "application/json"} {
			w := ask(h, method, path+"?"+query, body, "Content-Type", kind, "Accept", accept)
			require.Less(t, w.Code, 500, w.Body.String())
			require.NotEmpty(t, w.Header().Get("Content-Security-Policy"))
			if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && method != "HEAD" {
				require.True(t, json.Valid(w.Body.Bytes()), w.Body.String())
			}
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"90m", "90", "1h30m", "-1", "1e9h", "", " 5 ", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := duration(s)
		if err == nil && (d < 0 || d > 366*24*time.Hour || d == 0 && strings.TrimSpace(s) != "") {
			t.Errorf("%q is %v", s, d)
		}
	})
}
