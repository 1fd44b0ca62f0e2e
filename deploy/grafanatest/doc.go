// Package grafanatest holds the dashboard of deploy to the schema that Grafana
// publishes with its foundation SDK, which the library itself does not need: it is a
// module of its own and exports nothing.
package grafanatest
