//go:build mutants

package outbox

// planted is the bug that is switched on.
var planted mutation

func mutant(m mutation) bool { return m == planted }

// Plant switches on the bug of that name, and all others off; "" is none. It says
// whether there is one. Only mutation tests call it, never while a machine runs.
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
	mutRecordLate:     "outbox: a notice is on record only after its first try",
	mutRefusedDropped: "outbox: a refusal drops the notice, and nobody is told instead",
	mutNewID:          "outbox: what is owed gets another id after a crash",
	mutResolveLost:    "outbox: those who were told are not told that it is over",
	mutNeverFreed:     "outbox: a target that hung once is never called again",
	mutOneStuckAll:    "outbox: a target that hangs holds up all others",
}
