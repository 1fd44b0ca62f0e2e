// Package strict has stand-ins for providers, for tests. Each is a server on
// loopback that knows its provider's rules and refuses whatever the provider
// refuses, so that a notifier which passes against it breaks no rule that we know
// of. They were written from the public documentation of the providers; they are
// not the providers.
//
// A [Server] also fails on demand in the ways in which networks and providers do:
// see [Fault].
package strict
