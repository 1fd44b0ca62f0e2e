// Package watchdog watches over a process from outside of it: a supervisor that
// runs inside a process cannot see that the process is wedged, and cannot speak
// once it is dead.
//
// The watchdog is the same binary, started once more as a small child that holds
// the process by a pidfd and hears its heartbeat over a pipe. The heartbeat is fed
// by progress, not by a ticker. When it stops, the child takes a dump of all
// goroutines, ends the process so that whoever started it starts it again, and
// delivers the last escalation; when the process dies without having said goodbye,
// it delivers that. What the process owed when it went is delivered under the same
// notification id, so that a provider takes both tellings for one.
//
//	func main() {
//		watchdog.Main(func(config []byte) (escalate.Notifier, error) { // in the child this never returns
//			return pagerduty.New(pagerduty.Config{RoutingKey: escalate.Secret(config)})
//		})
//		…
//		dog, err := watchdog.Start(ctx, watchdog.Options{
//			Service: "orders", Config: []byte(os.Getenv("PAGERDUTY_KEY")), Progress: supervisor.Pulse,
//		})
//		…
//		policy := escalate.To(dog.Guard(page))
//		…
//		dog.Stop() // a clean end
//	}
//
// Main is an explicit first line of main: nothing happens in an init. The child
// needs both a marker in its environment and the inherited pipe; neither alone
// makes a process a child. Under go test Main does nothing. Package-level variables
// and init functions of the binary run in the child too.
//
// A process that is stopped, by a debugger or by SIGSTOP, is not dead: it may stay
// so for Options.StopLimit. The dump comes through debug.SetCrashOutput on SIGQUIT;
// where the application catches that signal there is none, and the notice says so.
//
// Secrets go to the child by pipe, never as arguments or environment. The child
// shares the container's limits with its parent: a kill of the whole container
// takes both, and only what is outside sees that.
//
// It works on Linux 5.3 and later. Elsewhere Start returns [ErrUnsupported], and
// Main does nothing.
package watchdog
