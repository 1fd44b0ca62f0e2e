// Deploy writes what monitoring needs to watch the supervisor:
//
//	go run ./deploy
//
//	docs/telemetry.md                    the table of metrics, spans and log fields
//	deploy/grafana/selfheal.json         a dashboard: import it in Grafana
//	deploy/prometheus/selfheal.yml       recording and alert rules: name it in rule_files
//	deploy/prometheus/selfheal_test.yml  unit tests of the alerts: promtool test rules
//	deploy/prometheus/records_test.yml   and of the recording rules
//
// Each is made from Go and never edited by hand; a test fails where one is stale.
// Another runs every query of the dashboard and of the rules against a Prometheus
// that scrapes the folder demo: a service with everything wrong, which is also for
// trying the dashboard out. The module grafanatest holds the dashboard to the schema
// that Grafana publishes; it was not looked at in Grafana.
//
//	main.go       which files there are
//	table.go      docs/telemetry.md, from a collection
//	rules.go      recording and alert rules
//	rules_yaml.go the same as YAML, with their tests
//	panels.go     what the dashboard shows
//	dashboard.go  the same as Grafana's JSON
package main
