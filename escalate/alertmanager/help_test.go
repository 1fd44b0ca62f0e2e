package alertmanager_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/selfheal-go/selfheal/escalate/internal/strict"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// trusting sends each request by the client of the member that it is for.
func trusting(t *testing.T, members ...*strict.Alertmanager) http.RoundTripper {
	t.Helper()
	byHost := map[string]http.RoundTripper{}
	for _, m := range members {
		u, err := url.Parse(m.URL)
		if err != nil {
			t.Fatal(err)
		}
		byHost[u.Host] = m.Client().Transport
	}
	return roundTrip(func(r *http.Request) (*http.Response, error) { return byHost[r.URL.Host].RoundTrip(r) })
}
