package deliver_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
	"github.com/selfheal-go/selfheal/escalate/internal/strict"
)

func TestCut(t *testing.T) {
	require.Equal(t, "short", deliver.Cut("short", 5))
	require.Equal(t, strings.Repeat("é", 13)+"… (cut)", deliver.Cut(strings.Repeat("é", 21), 20))
	require.Equal(t, "ab", deliver.Cut("abcdef", 2), "no room for the mark")
	require.Equal(t, "", deliver.CutBytes("é", 1))
	require.Equal(t, "\uFFFD", deliver.Cut("\xff", 1))
}

func TestKey(t *testing.T) {
	require.Equal(t, "inc-7", deliver.Key("inc-7", 255))
	long := strings.Repeat("k", 300)
	require.Len(t, deliver.Key(long, 255), 255)
	require.NotEqual(t, deliver.Key(long, 255), deliver.Key(long+"k", 255))
	require.NotEqual(t, deliver.Key("a b", 255), deliver.Key("a_b", 255))
	require.Equal(t, "a_b-c8687a08aa5d6ed2044328fa6a697ab8", deliver.Key("a b", 255), "stable for ever: it names open alerts")
}

func TestFitGivesUpDetailsOnly(t *testing.T) {
	body, err := deliver.Fit(200, func(room int) any { return map[string]string{"must": "here", "detail": strings.Repeat("x", 10*room)} })
	require.NoError(t, err)
	require.LessOrEqual(t, len(body), 200)
	require.Contains(t, string(body), `"must":"here"`)
	_, err = deliver.Fit(200, func(int) any { return func() {} })
	require.Error(t, err)
}

func TestLinksAreForPeople(t *testing.T) {
	n := strict.Notice(escalate.Trigger, 1)
	n.Links = append(n.Links, escalate.Link{Text: "", Href: "https://a.example/"}, escalate.Link{Text: "x", Href: "javascript:alert(1)"},
		escalate.Link{Text: "x", Href: "https://a.example/a|b"}, escalate.Link{Text: "x", Href: "https://a.example/" + strings.Repeat("x", 3000)})
	var got []string
	for _, l := range deliver.Links(n) {
		got = append(got, l.Text+" "+l.Href)
	}
	require.Equal(t, []string{
		"Acknowledge https://console.example/ack?id=inc-1&sig=s", "link https://a.example/", "Runbook https://runbooks.example/queue",
		"Evidence: goroutines https://evidence.example/goroutines.txt", "Evidence: depth https://evidence.example/depth.png",
	}, got)
}

func TestDetailsSayWhenTheyAreCut(t *testing.T) {
	n := strict.Notice(escalate.Trigger, 1)
	all := deliver.Details(n, 10_000)
	require.Equal(t, "5000 jobs", all["limit"])
	require.NotContains(t, all, "cut")
	for i := range 60 {
		n.Incident.Finding.Labels[fmt.Sprint("l", i)] = "v"
	}
	require.Contains(t, deliver.Details(n, 10_000), "cut")
	few := deliver.Details(n, 60)
	require.Contains(t, few, "incident")
	require.NotContains(t, few, "label l1")
	require.Contains(t, few, "cut")
}

func TestCleanMakesATimeThatJSONHas(t *testing.T) {
	n := strict.Notice(escalate.Trigger, 1)
	far := time.Date(292_277, 1, 1, 0, 0, 0, 0, time.UTC)
	n.At, n.Incident.Opened, n.Incident.Attempts[0].Started, n.Incident.Evidence[0].At = far, far, far, far
	_, err := json.Marshal(n)
	require.Error(t, err)
	_, err = json.Marshal(deliver.Clean(n))
	require.NoError(t, err)
	require.Equal(t, far, n.Incident.Attempts[0].Started, "the notification is not changed")
}

func TestMemoryForgetsTheOldest(t *testing.T) {
	var m deliver.Memory
	for i := range 1001 {
		m.Add(fmt.Sprint(i))
		m.Add(fmt.Sprint(i))
	}
	require.False(t, m.Has("0"))
	require.True(t, m.Has("1"))
	m.Remove("1")
	require.False(t, m.Has("1"))
}

func FuzzCut(f *testing.F) {
	f.Add("abc", 2)
	f.Add("é\xff…", 1)
	f.Add(strings.Repeat("x", 100), 50)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = max(min(n, 1000), 0)
		runes, bytes := deliver.Cut(s, n), deliver.CutBytes(s, n)
		if utf8.RuneCountInString(runes) > n || len(bytes) > n {
			t.Errorf("too long: %q %q", runes, bytes)
		}
		if !utf8.ValidString(runes) || !utf8.ValidString(bytes) {
			t.Errorf("not UTF-8: %q %q", runes, bytes)
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add("inc-1", "inc-2")
	f.Add("a b", "a_b")
	f.Add(strings.Repeat("k", 300), strings.Repeat("k", 301))
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := deliver.Key(a, 64), deliver.Key(b, 64)
		if len(x) > 64 || len(x) == 0 || strings.ContainsFunc(x, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("%q", x)
		}
		if (a == b) != (x == y) {
			t.Errorf("%q and %q become %q and %q", a, b, x, y)
		}
		if a != "" && len(a) <= 30 && deliver.AskKey(x, 64) == x {
			t.Errorf("a question has the key of its incident: %q", x)
		}
	})
}

func FuzzAddress(f *testing.F) {
	f.Add("https://user:pass@host/path?q#f")
	f.Add("http://[::1]:80")
	f.Add("::")
	f.Fuzz(func(t *testing.T, raw string) {
		for _, read := range []func(string, string) error{
			func(f, r string) error { _, err := deliver.Address(f, r); return err },
			func(f, r string) error { _, err := deliver.Base(f, r); return err },
		} {
			if err := read("Field", raw); err != nil && len(raw) > 12 && strings.Contains(err.Error(), raw) {
				t.Errorf("the error shows the address: %v", err)
			}
		}
		if u, err := deliver.Address("", raw); err == nil {
			deliver.Hidden(u)
			if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				t.Errorf("%q was taken", raw)
			}
		}
	})
}
