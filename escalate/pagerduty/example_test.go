package pagerduty_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/pagerduty"
)

// What PagerDuty gets of an incident that opens and closes. The resolve ends the
// question under the second key too, if one was asked.
func Example() {
	events := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct {
			Action  string `json:"event_action"`
			Key     string `json:"dedup_key"`
			Payload struct{ Summary, Severity string }
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			fmt.Println(err)
		}
		fmt.Println(strings.TrimSpace(strings.Join([]string{e.Action, e.Key, e.Payload.Severity, e.Payload.Summary}, " ")))
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"status":"success"}`)
	}))
	defer events.Close()

	oncall, err := pagerduty.New(pagerduty.Config{RoutingKey: "0123456789abcdef0123456789abcdef", BaseURL: events.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	n := escalate.Notification{ID: "n-1", DedupKey: "inc-7", Incident: escalate.Incident{
		ID: "inc-7", Watch: "orders/queue-depth",
		Finding: detect.Finding{Severity: detect.Critical, Summary: "9000 is above 5000"},
	}}
	for _, kind := range []escalate.Kind{escalate.Trigger, escalate.Resolve} {
		n.Kind = kind
		if err := oncall.Notify(context.Background(), n); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// trigger inc-7 critical orders/queue-depth: 9000 is above 5000
	// resolve inc-7
	// resolve inc-7/ask
}

// A mistake is found before anything runs, and secrets do not print.
func ExampleNew() {
	_, err := pagerduty.New(pagerduty.Config{RoutingKey: "short", BaseURL: "http://events.example"})
	fmt.Println(err)
	fmt.Println(pagerduty.Config{RoutingKey: "0123456789abcdef0123456789abcdef"}.RoutingKey)
	// Output:
	// pagerduty: Config.RoutingKey has 5 characters and not 32: give the integration key of an Events API v2 integration
	// pagerduty: Config.BaseURL begins with http://, and the credential would go in the clear: use https://
	// ***
}
