package strict

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Webhook is a receiver of Standard Webhooks that carry CloudEvents 1.0 in
// structured JSON. It takes what is signed with any of its secrets (whsec_...),
// once for each webhook-id, and says nothing in its answers. Its events have the
// type of the CloudEvent as verb and its subject as key.
func Webhook(tb testing.TB, path string, secrets ...string) *Server {
	tb.Helper()
	var s *Server
	s = start(tb, func(c *call) {
		if c.r.URL.Path != path || c.r.Method != http.MethodPost {
			c.refuse(http.StatusNotFound, "", "%s %s is not the webhook", c.r.Method, c.r.URL.Path)
			return
		}
		id := c.r.Header.Get("webhook-id")
		if why := signatureMistake(c, id, secrets); why != "" {
			c.refuse(http.StatusUnauthorized, "", "%s", why)
			return
		}
		event, why := readCloudEvent(c)
		if why != "" {
			c.refuse(http.StatusBadRequest, "", "%s", why)
			return
		}
		s.take(Event{Key: event.Subject, Verb: event.Type, ID: event.ID, Body: c.body, same: id})
		if s.now() == WrongBody {
			c.answer(http.StatusOK, "<!DOCTYPE html><title>Thanks</title>")
			return
		}
		c.w.WriteHeader(http.StatusNoContent)
	})
	s.odd, s.numb = http.StatusGone, true
	return s
}

var webhookID = regexp.MustCompile(`^[^.\s]{1,256}$`)

func signatureMistake(c *call, id string, secrets []string) string {
	if !webhookID.MatchString(id) {
		return fmt.Sprintf("webhook-id is %q", id)
	}
	stamp := c.r.Header.Get("webhook-timestamp")
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || time.Since(time.Unix(unix, 0)).Abs() > 5*time.Minute {
		return fmt.Sprintf("webhook-timestamp is %q", stamp)
	}
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			continue
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", id, stamp, c.body)
		want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for got := range strings.SplitSeq(c.r.Header.Get("webhook-signature"), " ") {
			if hmac.Equal([]byte(got), []byte(want)) {
				return ""
			}
		}
	}
	return "no signature fits"
}

type cloudEvent struct {
	SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
	Data                                                          json.RawMessage
}

var attributeName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

func readCloudEvent(c *call) (e cloudEvent, why string) {
	if t := c.r.Header.Get("Content-Type"); !strings.HasPrefix(t, "application/cloudevents+json") {
		return e, "content type " + t
	}
	if len(c.body) > 64<<10 {
		return e, fmt.Sprintf("%d bytes", len(c.body))
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(c.body, &all); err != nil {
		return e, err.Error()
	}
	for name := range all {
		if !attributeName.MatchString(name) {
			return e, "an attribute has the name " + name
		}
	}
	if err := json.Unmarshal(c.body, &e); err != nil {
		return e, err.Error()
	}
	switch {
	case e.SpecVersion != "1.0":
		return e, "specversion " + e.SpecVersion
	case e.ID == "" || e.Source == "" || e.Type == "" || len(e.Data) == 0:
		return e, "id, source, type or data is missing"
	}
	if e.Time != "" {
		if _, err := time.Parse(time.RFC3339Nano, e.Time); err != nil {
			return e, "time " + e.Time
		}
	}
	return e, ""
}
