package alertmanager_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/alertmanager"
)

// A detector of one alert, on one team's machines: blind until Alertmanager was
// heard, then firing until it says that it is resolved.
func Example() {
	am, err := alertmanager.New(alertmanager.Config{Bearer: "a long secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	disk := am.Alerts("HostDiskFull", "team=orders")

	look := func() {
		found, err := disk.Detect(context.Background())
		switch {
		case err != nil:
			fmt.Println("blind")
		case len(found) == 0:
			fmt.Println("healthy")
		}
		for _, f := range found {
			fmt.Println(f.Severity, f.Summary)
		}
	}
	post := func(status string) {
		body := `{"version": "4", "alerts": [{
			"status": "` + status + `", "startsAt": "2026-03-01T12:00:00Z", "endsAt": "2026-03-01T12:20:00Z",
			"labels": {"alertname": "HostDiskFull", "team": "orders", "severity": "critical"},
			"annotations": {"summary": "the disk of orders-1 is full"}
		}]}`
		r := httptest.NewRequest(http.MethodPost, "/alerts", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer a long secret")
		am.ServeHTTP(httptest.NewRecorder(), r)
	}

	look()
	post("firing")
	look()
	post("resolved")
	look()
	// Output:
	// blind
	// critical the disk of orders-1 is full
	// healthy
}

// What was stored keeps its level over a restart, and nothing acts on it before
// Alertmanager has said it again.
func ExampleConfig_store() {
	store := &detect.MemoryStore{} // a durable one in production
	c := alertmanager.Config{Bearer: "a long secret", Store: store}
	body := `{"version": "4", "alerts": [{"status": "firing", "startsAt": "2026-03-01T12:00:00Z",
		"labels": {"alertname": "HostDiskFull"}, "annotations": {"summary": "the disk is full"}}]}`
	post := func(am *alertmanager.Receiver) {
		r := httptest.NewRequest(http.MethodPost, "/alerts", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer a long secret")
		am.ServeHTTP(httptest.NewRecorder(), r)
	}
	am, _ := alertmanager.New(c)
	post(am)

	am, _ = alertmanager.New(c) // the process has restarted
	disk := am.Alerts("HostDiskFull")
	found, err := disk.Detect(context.Background())
	for _, s := range detect.StaleOf(err) {
		fmt.Println(len(found), "found;", s.Finding.Summary+":", s.Why)
	}
	post(am)
	found, err = disk.Detect(context.Background())
	fmt.Println(len(found), "found;", err)
	// Output:
	// 0 found; the disk is full: restored after a restart and not restated since
	// 1 found; <nil>
}
