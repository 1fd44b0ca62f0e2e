package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/remediate/webhook"
)

// A step that asks a deployment service to roll back. The service sees one
// key however often the call is repeated.
func Example() {
	deploy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"))
	}))
	defer deploy.Close()

	step := remediate.Step{
		Name:    "roll-back",
		Run:     webhook.New(webhook.Options{URL: deploy.URL + "/rollback"}),
		Lasting: true,
		Retry:   remediate.Backoff{Tries: 3},
	}
	for try := 1; try <= 2; try++ {
		err := step.Run(context.Background(), remediate.Request{Incident: "orders-7", Step: step.Name, Attempt: 1, Try: try})
		fmt.Println(err)
	}
	// Output:
	// POST /rollback orders-7/roll-back/1/run
	// <nil>
	// POST /rollback orders-7/roll-back/1/run
	// <nil>
}
