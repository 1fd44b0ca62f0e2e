package datadog_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/selfheal-go/selfheal/detect/datadog"
)

// Datadog fills in the template and posts it.
func Example() {
	dd, err := datadog.New(datadog.Config{Bearer: "a long secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	disk := dd.Alerts("Disk is full")
	filled := strings.NewReplacer(
		"$ALERT_ID", "1234", "$ALERT_TRANSITION", "Triggered", "$ALERT_TITLE", "[Triggered on {host:orders-1}] Disk is full",
		"$ALERT_STATUS", "system.disk.in_use over host:orders-1 was > 0.9", "$ALERT_SCOPE", "host:orders-1", "$DATE", "1772366400000",
	).Replace(datadog.Template)
	r := httptest.NewRequest(http.MethodPost, "/alerts", strings.NewReader(filled))
	r.Header.Set("Authorization", "Bearer a long secret")
	dd.ServeHTTP(httptest.NewRecorder(), r)

	found, err := disk.Detect(context.Background())
	for _, f := range found {
		fmt.Println(f.Key, f.Severity, f.Summary, err)
	}
	// Output: 1234{host:orders-1} critical system.disk.in_use over host:orders-1 was > 0.9 <nil>
}
