package pagerduty_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/detect/pagerduty"
)

// A person acknowledges one of our incidents. PagerDuty sends that twice, and it
// is handed out once.
func Example() {
	pd, err := pagerduty.New(pagerduty.Config{
		Secrets: []detect.Secret{"a long secret"},
		OnAcknowledgement: func(_ context.Context, a pagerduty.Acknowledgement) error {
			fmt.Println(a.DedupKey, a.Kind, "by", a.By)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	body := `{"event": {"id": "01BWQ5XZ1YQ7K7", "event_type": "incident.acknowledged",
		"occurred_at": "` + time.Now().UTC().Format(time.RFC3339) + `",
		"agent": {"type": "user_reference", "summary": "Earline Greenholt"},
		"data": {"type": "incident", "id": "PGR0VU2", "incident_key": "orders/queue-depth"}}}`
	h := hmac.New(sha256.New, []byte("a long secret"))
	h.Write([]byte(body))
	for range 2 {
		r := httptest.NewRequest(http.MethodPost, "/pagerduty", strings.NewReader(body))
		r.Header.Set("X-PagerDuty-Signature", "v1="+hex.EncodeToString(h.Sum(nil)))
		pd.ServeHTTP(httptest.NewRecorder(), r)
	}
	fmt.Println(pd.Stats().Ignored)
	// Output:
	// orders/queue-depth acknowledged by Earline Greenholt
	// map[repeated:1]
}
