package selfheal_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/evidence"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

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
		require.Contains(t, b.page("/"), "Evidence (1)")
		require.Contains(t, b.page("/incident?id="+id), "evidence?incident="+id+"&amp;ref=r1")
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

// What the supervisor captured by itself can be downloaded, whole and by file, by
// those who may, also when the incident is forgotten.
func TestOwnEvidenceIsListedAndDownloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := evidence.OpenStore(evidence.StoreOptions{})
		require.NoError(t, err)
		may, asked := true, []selfheal.Control{}
		trial := selfhealtest.StartWith(t, selfheal.Options{
			Evidence: evidence.Options{Store: store},
			Console: selfheal.ConsoleOptions{Authorize: func(_ *http.Request, c selfheal.Control) (string, error) {
				asked = append(asked, c)
				if !may {
					return "", errors.New("not now")
				}
				return "alice", nil
			}},
		}, useless("queue", remediate.Safe))
		s := trial.Supervisor()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b := browser{t, s.Handler()}
		id := s.Status().Watches[0].Incidents[0].ID
		var in struct {
			Evidence []struct {
				Name, Type, Ref string
				Bytes           int64
			}
		}
		b.json("/api/incident?id="+id, &in)
		require.Equal(t, "bundle, rung 1", in.Evidence[0].Name)
		page := b.page("/incident?id=" + id)
		for _, e := range in.Evidence {
			require.Positive(t, e.Bytes, e.Name)
			to := "/evidence?" + url.Values{"incident": {id}, "ref": {e.Ref}}.Encode()
			require.Contains(t, page, strings.ReplaceAll(to[1:], "&", "&amp;"))
			w := b.get(to)
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			require.Len(t, w.Body.Bytes(), int(e.Bytes), e.Name)
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			require.Equal(t, "application/octet-stream", w.Header().Get("Content-Type"))
			require.Contains(t, w.Header().Get("Content-Disposition"), "attachment; filename=")
			require.Equal(t, selfheal.Control{Kind: selfheal.ControlEvidence, Watch: "queue", Incident: id, Evidence: e.Ref}, asked[len(asked)-1])
		}
		require.Contains(t, page, ">goroutines.txt</a>")

		other, err := store.Put(t.Context(), evidence.Bundle{Incident: "forgotten", Watch: "gone", Files: []evidence.File{{Name: "a.txt", Type: "text/plain", Data: []byte("x")}}})
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, b.get("/evidence?incident="+id+"&ref="+other.Ref).Code, "of another incident")
		w := b.get("/evidence?incident=forgotten&ref=" + other.Ref + "/a.txt")
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, "attachment; filename=a.txt", w.Header().Get("Content-Disposition"))
		for _, ref := range []string{"", "..", other.Ref + "/../a.txt", other.Ref + "/b.txt"} {
			require.Equal(t, http.StatusNotFound, b.get("/evidence?incident=forgotten&ref="+url.QueryEscape(ref)).Code, ref)
		}
		may = false
		for _, e := range in.Evidence {
			require.Equal(t, http.StatusForbidden, b.get("/evidence?"+url.Values{"incident": {id}, "ref": {e.Ref}}.Encode()).Code)
		}
		var journal struct{ Lines []struct{ Text string } }
		may = true
		b.json("/api/journal", &journal)
		require.Contains(t, journal.Lines[0].Text, "evidence", "who took what is on record")
	})
}
