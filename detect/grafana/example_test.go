package grafana_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/selfheal-go/selfheal/detect/grafana"
)

// A body is believed if its signature holds.
func Example() {
	g, err := grafana.New(grafana.Config{HMACSecret: "a long secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	disk := g.Alerts("Disk is full")
	body := `{"version": "1", "alerts": [{"status": "firing", "startsAt": "2026-03-01T12:00:00Z",
		"labels": {"alertname": "Disk is full"}, "annotations": {"summary": "the disk of orders-1 is full"}}]}`
	for _, key := range []string{"a guess", "a long secret"} {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(body))
		r := httptest.NewRequest(http.MethodPost, "/alerts", strings.NewReader(body))
		r.Header.Set("X-Grafana-Alerting-Signature", hex.EncodeToString(h.Sum(nil)))
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		found, _ := disk.Detect(context.Background())
		fmt.Println(w.Code, len(found))
	}
	fmt.Println(g.Stats().Refused)
	// Output:
	// 401 0
	// 200 1
	// map[wrong proof:1]
}
