package strict

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// Notice is a plausible notification of a kind about incident number i, with
// everything that one can have.
func Notice(kind escalate.Kind, i int) escalate.Notification {
	opened := time.Now().Add(-5 * time.Minute)
	id := fmt.Sprintf("inc-%d", i)
	n := escalate.Notification{
		ID: fmt.Sprintf("%s-%v", id, kind), DedupKey: id, Kind: kind, At: time.Now(),
		Links: []escalate.Link{{Text: "Acknowledge", Href: "https://console.example/ack?id=" + id + "&sig=s"}},
		Incident: escalate.Incident{
			ID: id, Watch: fmt.Sprintf("orders/queue-%d", i), Service: "orders", Opened: opened,
			Finding: detect.Finding{
				Key: "eu <1>", Severity: detect.Critical, Summary: "9000 jobs is above 5000 & grows", Value: 9000, Limit: 5000, Unit: "jobs",
				Labels: map[string]string{"region": "eu", "service.name": "orders"},
			},
			Attempts: []remediate.Attempt{{Step: "scale-workers", Outcome: remediate.NoEffect, Tries: 1, Started: opened, Ended: opened.Add(time.Minute)}},
			State:    escalate.Watching, Reason: escalate.Exhausted, Runbook: "https://runbooks.example/queue",
			Evidence: []escalate.Evidence{
				{Name: "goroutines", Type: "text/plain", Ref: "https://evidence.example/goroutines.txt", Bytes: 100, At: opened},
				{Name: "depth", Type: "image/png", Ref: "https://evidence.example/depth.png", At: opened},
				{Name: "heap", Type: "application/octet-stream", Ref: "/var/lib/selfheal/heap.pb.gz", At: opened},
			},
		},
	}
	switch kind {
	case escalate.Ask:
		n.Incident.State, n.Incident.Reason, n.Incident.Proposal = escalate.Asking, "", id+"-p"
	case escalate.Resolve:
		n.Incident.State, n.Incident.Closed = escalate.Closed, time.Now()
	}
	return n
}
