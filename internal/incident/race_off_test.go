//go:build !race

package incident

const slow = false
