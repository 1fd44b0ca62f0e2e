package slack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/slack"
)

// What phones show of a message, and its diagnosis.
func Example() {
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Text   string
			Blocks []struct{ Text struct{ Text string } }
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			fmt.Println(err)
		}
		fmt.Println(m.Text)
		fmt.Println(m.Blocks[1].Text.Text)
		fmt.Fprint(w, "ok")
	}))
	defer hooks.Close()

	channel, err := slack.New(slack.Config{URL: escalate.Secret(hooks.URL + "/services/T0/B0/secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = channel.Notify(context.Background(), escalate.Notification{ID: "n-1", DedupKey: "inc-7", Incident: escalate.Incident{
		ID: "inc-7", Watch: "orders/queue-depth", Reason: escalate.Exhausted,
		Finding: detect.Finding{Severity: detect.Critical, Summary: "9000 > 5000"},
	}})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// orders/queue-depth: 9000 &gt; 5000
	// ```
	// Incident:  orders/queue-depth: 9000 &gt; 5000
	// Wrong:     9000 &gt; 5000 (critical)
	// Tried:     nothing
	// Why you:   exhausted: every step that there is was tried. Find the cause; it is watched until it clears.
	// Id:        inc-7
	// ```
}
