package selfheal_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
)

func ExampleSupervisor_Collector() {
	s := selfheal.New(selfheal.Options{Escalate: nobody})
	s.Watch(selfheal.Watch{Name: "queue", Detector: detect.Probe(func(context.Context) error { return nil })})
	registry := prometheus.NewRegistry() // that of the service
	registry.MustRegister(s.Collector())

	err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP selfheal_incidents Incidents under way, by watch; those that are still pending included.
# TYPE selfheal_incidents gauge
selfheal_incidents{watch="queue"} 0
`), "selfheal_incidents")
	fmt.Println(err)
	// Output: <nil>
}
