//go:build mutants

package incident

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every planted bug is caught by the random scripts, and soon.
func TestMutantsAreCaught(t *testing.T) {
	defer func() { planted = mutNone }()
	var table strings.Builder
	fmt.Fprintf(&table, "%-55s %-24s %8s %8s\n", "mutation", "caught by", "scripts", "inputs")
	for m := mutNone + 1; m < mutEnd; m++ {
		require.Contains(t, mutations, m, "name it")
		planted = m
		inputs, seed, by := 0, uint64(0), ""
		for ; by == "" && inputs < 1_000_000; seed++ {
			d := splitmix(seed)
			s := newScript(&d)
			s.play()
			inputs += s.inputs
			by = s.failed
		}
		if by == "" {
			t.Errorf("%s: survived %d inputs", mutations[m], inputs)
		}
		fmt.Fprintf(&table, "%-55s %-24s %8d %8d\n", mutations[m], by, seed, inputs)
	}
	t.Logf("\n%s", table.String())
}
