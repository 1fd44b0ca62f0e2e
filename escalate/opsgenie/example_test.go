package opsgenie_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/opsgenie"
)

// Jira Service Management takes an alert, and says that it has carried it out.
func Example() {
	jsm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Println("result asked for")
			fmt.Fprint(w, `{"data":{"isSuccess":true,"status":"Created alert"}}`)
			return
		}
		var a struct{ Message, Alias, Priority string }
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			fmt.Println(err)
		}
		fmt.Println(r.URL.Path, a.Alias, a.Priority, a.Message)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"result":"Request will be processed","requestId":"r-1"}`)
	}))
	defer jsm.Close()

	alerts, err := opsgenie.New(opsgenie.Config{Key: "integration-key", BaseURL: jsm.URL + "/jsm/ops/integration"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = alerts.Notify(context.Background(), escalate.Notification{ID: "n-1", DedupKey: "inc-7", Incident: escalate.Incident{
		ID: "inc-7", Watch: "orders/queue-depth",
		Finding: detect.Finding{Severity: detect.Critical, Summary: "9000 is above 5000"},
	}})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// /jsm/ops/integration/v2/alerts inc-7 P1 orders/queue-depth: 9000 is above 5000
	// result asked for
}
