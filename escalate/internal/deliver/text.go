package deliver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Mark ends a text that was cut.
const Mark = "… (cut)"

// Cut makes a text valid UTF-8 of at most n runes. What was cut ends with
// [Mark], where there is room for it.
func Cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	mark := Mark
	if n < 2*utf8.RuneCountInString(Mark) {
		mark = ""
	}
	keep := n - utf8.RuneCountInString(mark)
	for i := range s {
		if keep <= 0 {
			return s[:i] + mark
		}
		keep--
	}
	return s
}

// CutBytes is [Cut] with a limit in bytes of UTF-8.
func CutBytes(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	mark := Mark
	if n < 2*len(Mark) {
		mark = ""
	}
	end := max(n-len(mark), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// Key is a key of at most most bytes, 64 or more, in visible ASCII: s itself where
// it is one, else its beginning and a hash of it. It depends on s alone, so that
// everything said of one incident has one key, also after a restart.
func Key(s string, most int) string {
	visible := func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '_'
		}
		return r
	}
	plain := strings.Map(visible, s)
	if plain == s && s != "" && len(s) <= most {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	hash := hex.EncodeToString(sum[:16])
	if keep := most - len(hash) - 1; len(plain) > keep {
		plain = plain[:keep]
	}
	return plain + "-" + hash
}

// Fit writes a body of at most most bytes. build makes it with so many bytes of
// room for details; it is called with half the room again and again until the
// result fits, at last with 0.
func Fit(most int, build func(room int) any) ([]byte, error) {
	for room := most; ; room /= 2 {
		body, err := json.Marshal(build(room))
		if err != nil {
			return nil, fmt.Errorf("the notification has no JSON: %w", err)
		}
		if len(body) <= most || room == 0 {
			return body, nil
		}
	}
}
