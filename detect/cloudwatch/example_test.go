package cloudwatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/selfheal-go/selfheal/detect/cloudwatch"
)

// In production there is no Insecure: SNS signs what it sends.
func Example() {
	cw, err := cloudwatch.New(cloudwatch.Config{
		Topics:   []string{"arn:aws:sns:eu-west-1:123456789012:alarms"},
		Insecure: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	disk := cw.Alerts("orders-disk-full")
	for _, topic := range []string{"somebody-else", "alarms"} {
		body := `{"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:` + topic + `",
			"Message": "{\"AlarmName\": \"orders-disk-full\", \"AlarmDescription\": \"the disk of orders is full\",
				\"NewStateValue\": \"ALARM\", \"StateChangeTime\": \"2026-03-01T12:00:00.000+0000\"}"}`
		r := httptest.NewRequest(http.MethodPost, "/alarms", strings.NewReader(strings.ReplaceAll(strings.ReplaceAll(body, "\n", ""), "\t", "")))
		w := httptest.NewRecorder()
		cw.ServeHTTP(w, r)
		found, _ := disk.Detect(context.Background())
		fmt.Println(w.Code, len(found))
	}
	// Output:
	// 403 0
	// 200 1
}

// Everybody with an AWS account can have SNS sign something.
func ExampleNew() {
	_, err := cloudwatch.New(cloudwatch.Config{})
	fmt.Println(err)
	// Output:
	// detect/cloudwatch: Topics is empty: name the topics that count, by ARN; a signature alone proves no more than that somebody has an AWS account
}
