package alertmanager

import "fmt"

// Format prints the name of the package and nothing else, whatever the verb: what
// is configured holds credentials.
func (n *Notifier) Format(f fmt.State, _ rune) { fmt.Fprint(f, "alertmanager notifier") }
