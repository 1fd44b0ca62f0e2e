package console_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/internal/console"
)

// A console needs to be told how everything stands; here, that nothing is wrong.
func Example() {
	born := time.Date(2026, 3, 1, 3, 24, 0, 0, time.UTC)
	history := console.NewHistory(born)
	h, err := console.New(console.Options{Source: console.Source{
		State: func() *console.State {
			return &console.State{Service: "orders", Run: "running", Mode: "auto", At: born, Watches: []console.Watch{{Name: "queue", State: "healthy", Mode: "auto"}}}
		},
		Changed: history.Changed,
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodGet, "http://localhost/selfheal/", nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "Nothing is wrong."))
	// Output: 200 true
}

func ExampleHistory() {
	at := time.Date(2026, 3, 1, 3, 24, 0, 0, time.UTC)
	h := console.NewHistory(at)
	for n, text := range []string{"open queue: 9000 jobs is above 5000", "step queue shed-load: healed", "close queue"} {
		h.Take(console.Line{Seq: uint64(n + 1), Time: at.Add(time.Duration(n) * time.Minute), Watch: "queue", Incident: "i1", Text: text}, console.News{})
	}
	_, week := h.Past(at.Add(time.Hour))
	fmt.Println("healed", week.Healed, "avoided", week.Avoided, "time to heal", week.TimeToHeal)
	// Output: healed 1 avoided 1 time to heal 1m0s
}

func ExampleSigner_Link() {
	s, err := console.NewSigner("https://orders.example/selfheal", [][]byte{[]byte("32 random bytes, from a secret..")})
	if err != nil {
		fmt.Println(err)
		return
	}
	href, err := s.Link("notice-1", console.Acking, "incident-1", "", "", time.Unix(2e9, 0))
	fmt.Println(href[:strings.Index(href, "?")], err)
	// Output: https://orders.example/selfheal/link <nil>
}
