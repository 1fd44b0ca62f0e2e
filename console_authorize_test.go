package selfheal_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
)

// What a request says of the watch is no reason to allow it: Authorize may decide by
// the watch, so that it is asked of the one that is really meant.
func TestAuthorizeIsAskedOfWhatIsReallyMeant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		var last selfheal.Control
		trial, _, _ := asking(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: func(_ *http.Request, c selfheal.Control) (string, error) {
			if last = c; c.Watch != "team-a/x" {
				return "", errors.New("only what is of team a")
			}
			return "ada", nil
		}}}, &ran)
		b := browser{t, trial.Supervisor().Handler()}
		st := trial.Supervisor().Status()
		p := st.Proposals[0]
		lie := `,"watch":"team-a/x","key":"k"}`
		for body, want := range map[string]selfheal.Control{
			`{"proposal":"` + p.ID + `","plan":"` + p.Fingerprint + `"`: {Kind: selfheal.ControlApprove, Proposal: p.ID, Incident: p.Incident, Watch: "store", Key: "a"},
			`{"incident":"` + p.Incident + `"`:                          {Kind: selfheal.ControlAck, Incident: p.Incident, Watch: "store", Key: "a"},
			`{"reason":"x"`:                                             {Kind: selfheal.ControlHalt},
		} {
			w := b.ask(http.MethodPost, "/api/"+string(want.Kind), body+lie)
			require.Equal(t, http.StatusForbidden, w.Code, w.Body.String())
			require.Equal(t, want, last)
		}
		synctest.Wait()
		require.Zero(t, ran)
		require.Nil(t, trial.Supervisor().Status().Halted)
	})
}

// A browser says where a form comes from only where the page lets it; over plain http
// nothing else tells it from another site.
func TestAFormWorksUnderAnotherNameOverPlainHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		var asked []selfheal.Control
		trial, called, _ := asking(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked)}}, &ran)
		b := browser{t, trial.Supervisor().Handler()}
		form := func(path, origin string) int {
			return b.ask(http.MethodPost, path, "reason=x", "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html", "Host", "ops.example", "Origin", origin).Code
		}
		require.Equal(t, "same-origin", b.get("/").Header().Get("Referrer-Policy"))
		require.Equal(t, http.StatusSeeOther, form("/api/halt", "http://ops.example"))
		require.Equal(t, http.StatusForbidden, form("/api/halt", "null"))
		require.Equal(t, http.StatusForbidden, form("/api/halt", "http://evil.example"))

		// The page of a link says nothing of itself; the link itself is what proves it.
		u, err := url.Parse(linksOf(called.Pages(), "Acknowledge")[0])
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, form(u.RequestURI(), "http://evil.example"))
		require.Equal(t, http.StatusOK, form(u.RequestURI(), "null"))
	})
}

func TestAControlAfterRunSaysThatNothingWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		var asked []selfheal.Control
		trial, _, _ := asking(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked)}}, &ran)
		b := browser{t, trial.Supervisor().Handler()}
		trial.Stop()
		w := b.ask(http.MethodPost, "/api/halt", `{"reason":"x"}`)
		require.Equal(t, http.StatusConflict, w.Code)
		require.Contains(t, w.Body.String(), "nothing was done")
	})
}

type badReader struct{ io.ReadSeekCloser }

func TestAStoreOfTheApplicationMayBeBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for ref, open := range map[string]func(string) (io.ReadSeekCloser, error){
			"nothing": func(string) (io.ReadSeekCloser, error) { return nil, nil },
			"panics":  func(string) (io.ReadSeekCloser, error) { return badReader{}, nil },
		} {
			var asked []selfheal.Control
			s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: nobody, Console: selfheal.ConsoleOptions{Authorize: allow(&asked), Evidence: open}})
			w := useless("queue", 0)
			w.Playbook.Steps = nil
			w.Evidence = []escalate.Gatherer{escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) {
				return []escalate.Evidence{{Name: ref, Ref: ref}}, nil
			})}
			s.Watch(w)
			begun(t, s)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			in := s.Status().Watches[0].Incidents[0].Incident
			b := browser{t, s.Handler()}
			got := b.get("/evidence?" + url.Values{"incident": {in.ID}, "ref": {ref}}.Encode())
			require.GreaterOrEqual(t, got.Code, 400, ref)
		}
	})
}
