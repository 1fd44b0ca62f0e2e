package process

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Reserved begins the names of variables by which a program is told why it runs.
const Reserved = "SELFHEAL_"

// MaxValue bounds a value that Clean returns, in bytes. The kernel refuses to start
// a program at all when one is too long, and a long summary must not keep a fix
// from running or people from being told.
const MaxValue = 4 << 10

// CheckPlace tells bad what is wrong with the fields Path and Dir of a
// configuration, each mistake with what to do about it. It looks at no file.
func CheckPlace(bad func(format string, args ...any), path, dir string) {
	if !filepath.IsAbs(path) {
		bad("Path %q is not absolute: write the full path of the program", path)
	}
	if dir != "" && !filepath.IsAbs(dir) {
		bad("Dir %q is not absolute: write the full path, or leave it empty", dir)
	}
}

// CheckVariables tells bad what is wrong with the fields Env and Set of a
// configuration, the names to inherit and the variables with fixed values, each
// mistake with what to do about it. The owner is who sets the reserved names. A
// value may be secret, so none is quoted.
func CheckVariables[V ~string](bad func(format string, args ...any), owner string, env []string, set map[string]V) {
	seen := map[string]bool{}
	name := func(field, n string) {
		switch {
		case n == "" || strings.ContainsAny(n, "=\x00"):
			bad("%s: %q cannot name a variable: use letters, digits and underscores", field, n)
		case strings.HasPrefix(strings.ToUpper(n), Reserved):
			bad("%s: %q: names that begin with %s are set by the %s: use another name", field, n, Reserved, owner)
		case seen[n]:
			bad("%s: %q is listed twice: keep it in one place of Env and Set", field, n)
		}
		seen[n] = true
	}
	for _, n := range env {
		name("Env", n)
	}
	for _, n := range slices.Sorted(maps.Keys(set)) {
		name("Set", n)
		if strings.ContainsRune(string(set[n]), 0) {
			bad("Set: the value of %q contains a NUL byte: remove it", n)
		}
	}
}

// Variables appends to an environment those of env that the service has, with
// their values of now, and then set in the order of its names.
func Variables[V ~string](to []string, env []string, set map[string]V) []string {
	for _, n := range env {
		if v, ok := os.LookupEnv(n); ok {
			to = append(to, n+"="+v)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(set)) {
		to = append(to, n+"="+string(set[n]))
	}
	return to
}

// Clean makes text of anybody fit for the value of a variable: a NUL byte and a run
// of bytes that are not UTF-8 become U+FFFD, and it is cut at MaxValue between two
// characters. It takes no more memory than that, however long the text is.
func Clean(s string) string {
	if len(s) <= MaxValue && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	out := make([]byte, 0, MaxValue)
	broken := false // the byte before was not UTF-8
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		wasBroken := broken
		broken = r == utf8.RuneError && size == 1
		switch {
		case broken && wasBroken:
			continue
		case r == 0:
			r = utf8.RuneError
		}
		if len(out)+utf8.RuneLen(r) > MaxValue {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}
