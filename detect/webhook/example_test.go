package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/selfheal-go/selfheal/detect/webhook"
)

// A script that knows a token reports what it has found.
func Example() {
	hook, err := webhook.New(webhook.Config{Bearer: "a long secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	stuck := hook.Alerts("QueueStuck", "queue!=test")
	r := httptest.NewRequest(http.MethodPost, "/alerts", strings.NewReader(`{
		"name": "QueueStuck", "key": "orders", "status": "firing", "at": "2026-03-01T12:00:00Z",
		"summary": "nothing moved for 5 minutes", "value": 9000, "limit": 5000, "unit": "jobs"
	}`))
	r.Header.Set("Authorization", "Bearer a long secret")
	hook.ServeHTTP(httptest.NewRecorder(), r)

	found, err := stuck.Detect(context.Background())
	for _, f := range found {
		fmt.Println(f.Key+":", f.Summary, f.Value, f.Unit, err)
	}
	// Output: orders: nothing moved for 5 minutes 9000 jobs <nil>
}
