//go:build mutants

package journal

// planted is the bug that is switched on.
var planted mutation

func mutant(m mutation) bool { return m == planted }

// Plant switches on the bug of that name, and all others off; "" is none. It says
// whether there is one. Only mutation tests call it, never while a log is open.
func Plant(name string) bool {
	planted = mutNone
	for m, n := range mutations {
		if n == name {
			planted = m
		}
	}
	return name == "" || planted != mutNone
}

// mutations names every planted bug by what it does.
var mutations = map[mutation]string{
	mutNoSync:       "journal: says durable before the sync",
	mutPanics:       "journal: panics where the disk fails",
	mutTrustsFailed: "journal: trusts a file whose sync has failed",
	mutKeepsAll:     "journal: what a snapshot has replaced is kept",
}
