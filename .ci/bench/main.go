// Command bench reads the output of benchmarks and checks what does not depend
// on how busy the machine is: allocation counts, and ratios of two figures of the
// same run. Each bar is twice what the project asks for. Everything else is for
// people to read.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// zeroAllocs lists benchmarks, by prefix, whose operations must not allocate.
var zeroAllocs = []string{
	"BenchmarkEngineStep", "BenchmarkHealthy/", "BenchmarkHealthyCheck/", "BenchmarkBeat", "BenchmarkClosed/selfheal", "BenchmarkPause", "BenchmarkStepNoChange",
}

// ratios of two figures of one run: what must be at most so many times the other.
var ratios = []struct {
	bench, unit, of string
	most            float64
}{
	// The naive way takes 14.2 % of a core for 100,000, the bar is 4 %: twice that share.
	{"BenchmarkWatches/100k", "%core", "BenchmarkWatches/100k-tickers", 2 * 4 / 14.2},
	// 700 bytes a watch against 3,381.
	{"BenchmarkWatches/100k", "B/watch", "BenchmarkWatches/100k-tickers", 2 * 700.0 / 3381},
	// The push must not care how many others there are.
	{"BenchmarkPushToAction/others=10000", "us-p50", "BenchmarkPushToAction/others=0", 4},
	// Restarts no slower and with fewer bytes than the best of the field, calls through a closed breaker too.
	{"BenchmarkRestart/return/selfheal", "cpu-ns/op", "BenchmarkRestart/return/suture", 2},
	{"BenchmarkRestart/panic/selfheal", "cpu-ns/op", "BenchmarkRestart/panic/suture", 2},
	{"BenchmarkRestart/return/selfheal", "B/op", "BenchmarkRestart/return/suture", 1},
	{"BenchmarkRestart/panic/selfheal", "B/op", "BenchmarkRestart/panic/suture", 1},
	{"BenchmarkClosed/selfheal", "ns/op", "BenchmarkClosed/gobreaker", 1},
}

// within bounds figures that are ratios of one run, or shares of a core, by themselves.
var within = []struct {
	bench, unit string
	most        float64
}{
	{"BenchmarkJournalAppend", "ratio-p50", 2 * 1.2}, // a bare write and sync of as many bytes
	{"BenchmarkIdleViewers/100", "%core", 2 * 1},
	{"BenchmarkPackOverhead/all", "%core", 2 * 0.5},
}

func main() {
	figures := map[string]map[string]float64{}
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := fields[0]
		if i := strings.LastIndex(name, "-"); i > 0 {
			if _, err := strconv.Atoi(name[i+1:]); err == nil {
				name = name[:i]
			}
		}
		if figures[name] == nil {
			figures[name] = map[string]float64{}
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				figures[name][fields[i+1]] = v
			}
		}
	}
	failed := false
	check := func(ok bool, format string, args ...any) {
		mark := "ok  "
		if !ok {
			mark, failed = "FAIL", true
		}
		fmt.Printf("%s %s\n", mark, fmt.Sprintf(format, args...))
	}
	for _, prefix := range zeroAllocs {
		found := false
		for name, f := range figures {
			if name != prefix && !strings.HasPrefix(name, prefix) {
				continue
			}
			if allocs, ok := f["allocs/op"]; ok {
				found = true
				if allocs != 0 {
					check(false, "%s: %v allocs/op, want 0", name, allocs)
				}
			}
		}
		check(found, "%s: no allocations", prefix)
	}
	for _, r := range ratios {
		a, ok := figures[r.bench][r.unit]
		b, ok2 := figures[r.of][r.unit]
		if !ok || !ok2 || b == 0 {
			check(false, "%s and %s: no %s in this run", r.bench, r.of, r.unit)
			continue
		}
		check(a/b <= r.most, "%s is %.2f times %s in %s; at most %.2f", r.bench, a/b, r.of, r.unit, r.most)
	}
	for _, w := range within {
		v, ok := figures[w.bench][w.unit]
		check(ok && v <= w.most, "%s: %.2f %s; at most %.2f", w.bench, v, w.unit, w.most)
	}
	if failed {
		os.Exit(1)
	}
}
