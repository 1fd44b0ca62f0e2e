// Package telemetrytest tests the traces of selfheal with the SDK of OpenTelemetry,
// which the library itself does not need: it is a module of its own and exports
// nothing.
package telemetrytest
