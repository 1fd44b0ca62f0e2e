package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/webhook"
)

// During a rotation a webhook carries two signatures.
func Example() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e struct {
			Type, Source, Subject, SeverityText string
			Data                                escalate.Notification
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			fmt.Println(err)
		}
		fmt.Println(e.Type)
		fmt.Println(e.Source, e.Subject, e.SeverityText, e.Data.Title())
		fmt.Println(r.Header.Get("webhook-id"), len(strings.Fields(r.Header.Get("webhook-signature"))), "signatures")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	hook, err := webhook.New(webhook.Config{
		URL:     escalate.Secret(receiver.URL + "/incidents"),
		Secrets: []escalate.Secret{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = hook.Notify(context.Background(), escalate.Notification{ID: "n-1", DedupKey: "inc-7", Incident: escalate.Incident{
		ID: "inc-7", Service: "orders", Watch: "queue-depth",
		Finding: detect.Finding{Severity: detect.Critical, Summary: "9000 is above 5000"},
	}})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// io.github.selfheal-go.notification.trigger
	// /selfheal/orders inc-7 ERROR orders queue-depth: 9000 is above 5000
	// n-1 2 signatures
}

// The vector that the reference implementations of Standard Webhooks publish.
func ExampleSign() {
	signature, err := webhook.Sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
		time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	fmt.Println(signature, err)
	// Output: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= <nil>
}
