package alertmanager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/alertmanager"
)

// An incident is an alert. What may differ from one time to the next is in its
// annotations.
func Example() {
	am := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var alerts []struct {
			Labels, Annotations map[string]string
			EndsAt              time.Time
		}
		if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil {
			fmt.Println(err)
		}
		for _, a := range alerts {
			fmt.Println("firing:", a.EndsAt.After(time.Now()), a.Labels)
			fmt.Println(a.Annotations["summary"])
		}
	}))
	defer am.Close()

	n, err := alertmanager.New(alertmanager.Config{URLs: []string{am.URL}, Labels: map[string]string{"team": "orders"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = n.Notify(context.Background(), escalate.Notification{ID: "n-1", DedupKey: "inc-7", Incident: escalate.Incident{
		ID: "inc-7", Watch: "orders/queue-depth",
		Finding: detect.Finding{Severity: detect.Critical, Summary: "9000 is above 5000"},
	}})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// firing: true map[alertname:orders/queue-depth severity:critical source:selfheal team:orders]
	// orders/queue-depth: 9000 is above 5000
}

// A silence that somebody makes in Alertmanager counts as an acknowledgement.
func ExampleFeedback() {
	am := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v2/alerts":
			fmt.Fprint(w, `[{"annotations": {"dedup_key": "inc-7", "incident": "inc-7"}, "status": {"silencedBy": ["s-1"]}}]`)
		case "/api/v2/silence/s-1":
			fmt.Fprint(w, `{"createdBy": "ann", "comment": "looking", "endsAt": "2026-03-01T13:00:00Z", "status": {"state": "active"}}`)
		}
	}))
	defer am.Close()

	n, err := alertmanager.New(alertmanager.Config{URLs: []string{am.URL}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	feedback := alertmanager.Feedback{Notifier: n, On: func(_ context.Context, c alertmanager.Change) error {
		fmt.Println("acknowledge", c.Incident, "by", c.By, "until", c.Until.Format(time.DateTime), c.Comment)
		cancel()
		return nil
	}}
	if err := feedback.Run(ctx); err != nil { // in a service: beside the supervisor
		fmt.Println(err)
	}
	// Output:
	// acknowledge inc-7 by ann until 2026-03-01 13:00:00 looking
}
