//go:build mutants

package incident

// planted is the bug that is switched on.
var planted mutation

func mutant(m mutation) bool { return m == planted }
