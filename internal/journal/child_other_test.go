//go:build !unix

package journal_test

func child(string) int { return 1 }
