package console

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	oldKey = []byte("an old key, 0123456789")
	newKey = []byte("a new key, 0123456789")
)

func signed(t *testing.T, key []byte, kind, incident, proposal, plan string, valid time.Duration) string {
	s, err := NewSigner("https://ops.example/x", [][]byte{key})
	require.NoError(t, err)
	href, err := s.Link("n1/target/"+kind, kind, incident, proposal, plan, time.Now().Add(valid))
	require.NoError(t, err)
	u, err := url.Parse(href)
	require.NoError(t, err)
	require.Equal(t, "/x/link", u.Path)
	require.Less(t, len(href), 500, "services that relay notices cut what is longer")
	return "/link?" + u.RawQuery
}

func TestALinkIsBoundToAllThatItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake().fill(1, 2, 1)
		f.state.Open[0].Proposal = &Proposal{ID: "p1", Step: "restart", Fingerprint: "plan-1"}
		h := f.handler(t, Options{Authorize: yes, Keys: [][]byte{newKey, oldKey}})
		post := func(link string) int { return ask(h, http.MethodPost, link, "").Code }

		approve := signed(t, oldKey, Approving, "k3v9x2-0", "p1", "plan-1", time.Hour)
		require.Equal(t, 200, page(h, approve).Code, "a key that is on its way out still counts")
		require.Empty(t, f.orders)
		require.Empty(t, f.used)
		require.Equal(t, 409, post(signed(t, newKey, Approving, "k3v9x2-0", "p1", "plan-2", time.Hour)), "another plan")
		require.Equal(t, 404, post(signed(t, newKey, Approving, "k3v9x2-0", "p2", "plan-1", time.Hour)), "another proposal")
		require.Equal(t, 404, post(signed(t, newKey, Approving, "k3v9x2-1", "p1", "plan-1", time.Hour)), "another incident")
		require.Equal(t, 404, post(signed(t, newKey, Acking, "k3v9x2-2", "", "", time.Hour)), "it is over")
		require.Equal(t, 400, post(signed(t, newKey, Halting, "k3v9x2-0", "", "", time.Hour)), "no link halts")
		require.Equal(t, 400, post(signed(t, []byte("somebody else's key"), Acking, "k3v9x2-0", "", "", time.Hour)))
		require.Equal(t, 410, post(signed(t, newKey, Acking, "k3v9x2-0", "", "", -time.Second)), "it has expired")
		require.Empty(t, f.orders)
		require.Equal(t, 200, post(approve))
		require.Equal(t, []Order{{Control: Control{Kind: Approving, Watch: "team-0/queue-00000", Key: "eu-1", Incident: "k3v9x2-0", Proposal: "p1"}, By: "alice", Fingerprint: "plan-1"}}, f.orders)
		require.Equal(t, 410, post(approve))
		require.Len(t, f.orders, 1)
		require.Equal(t, 403, ask(h, http.MethodPost, signed(t, newKey, Acking, "k3v9x2-0", "", "", time.Hour), "", "Sec-Fetch-Site", "cross-site").Code)

		time.Sleep(2 * time.Hour)
		require.Equal(t, 410, page(h, approve).Code)
	})
}

func TestWithoutKeyOrAddressThereAreNoLinks(t *testing.T) {
	for _, c := range []struct {
		base string
		keys [][]byte
	}{{"", [][]byte{newKey}}, {"https://ops.example", nil}, {"", nil}} {
		s, err := NewSigner(c.base, c.keys)
		require.NoError(t, err)
		require.Nil(t, s)
	}
	_, err := NewSigner("ftp://x", nil)
	require.ErrorContains(t, err, "BaseURL")
	h := newFake().fill(1, 1, 0).handler(t, Options{Authorize: yes})
	require.Equal(t, 400, ask(h, http.MethodPost, signed(t, newKey, Acking, "k3v9x2-0", "", "", time.Hour), "").Code)
	require.Equal(t, 400, ask(h, http.MethodPost, signed(t, make([]byte, 16), Acking, "k3v9x2-0", "", "", time.Hour), "").Code)
}

func FuzzLink(f *testing.F) {
	k := keyring{newKey}
	good, err := k.sign(ticket{ID: "1", Kind: Acking, Incident: "i", Expires: 1 << 40})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b")
	f.Add(".")
	f.Add(strings.Repeat("A", 3000))
	f.Add(good[:12] + "\n" + good[12:])
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"k":"ack","e":99999999999}`)) + "." + strings.Split(good, ".")[1])
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := k.verify(token, time.Unix(0, 0)); err == nil && token != good {
			t.Errorf("%q was not signed, and allows %v", token, got)
		}
	})
}
