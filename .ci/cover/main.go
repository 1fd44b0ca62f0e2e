// Command cover prints the coverage of each package from a profile in which a
// block may occur many times, once for each test binary.
package main

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

func main() {
	f, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	type block struct {
		statements int
		hit        bool
	}
	blocks := map[string]block{}
	for s := bufio.NewScanner(f); s.Scan(); {
		var statements, count int
		place, rest, _ := strings.Cut(s.Text(), " ")
		if n, _ := fmt.Sscanf(rest, "%d %d", &statements, &count); n == 2 {
			blocks[place] = block{statements, blocks[place].hit || count > 0}
		}
	}
	type sum struct{ all, hit int }
	packages := map[string]sum{}
	for place, b := range blocks {
		file, _, _ := strings.Cut(place, ":")
		p := packages[path.Dir(file)]
		p.all += b.statements
		if b.hit {
			p.hit += b.statements
		}
		packages[path.Dir(file)] = p
	}
	var names []string
	for name := range packages {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := packages[name]
		fmt.Printf("%6.1f %%  %s\n", 100*float64(p.hit)/float64(max(p.all, 1)), name)
	}
}
