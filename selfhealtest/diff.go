package selfhealtest

import "strings"

// diff is the lines of both, those that differ marked, by their longest common
// subsequence.
func diff(want, got []string) string {
	n, m := len(want), len(got)
	length := make([][]int, n+1)
	for i := range length {
		length[i] = make([]int, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if want[i] == got[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var b strings.Builder
	write := func(mark, s string) { b.WriteString("\t" + mark + " " + s + "\n") }
	i, j := 0, 0
	for i < n || j < m {
		switch {
		case i < n && j < m && want[i] == got[j]:
			write(" ", want[i])
			i++
			j++
		case j >= m || i < n && length[i+1][j] >= length[i][j+1]:
			write("-", want[i])
			i++
		default:
			write("+", got[j])
			j++
		}
	}
	return b.String()
}

// marks is how many lines of a diff differ.
func marks(d string) int { return strings.Count(d, "\t-") + strings.Count(d, "\t+") }
