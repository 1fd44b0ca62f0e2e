package evidence

import (
	"crypto/rand"
	"strings"
	"time"
)

// A ref is the time in milliseconds, so that refs sort by it, and 130 bits of
// chance, so that nobody who was told of one bundle finds another:
// 20260301T120000123Z-abcdefghijklmnopqrstuvwxyz
const (
	refTime   = "20060102T150405"
	refStamp  = len(refTime) + len("123Z")
	refChance = 26
	refLength = refStamp + 1 + refChance
)

func newRef(at time.Time) string {
	stamp := strings.Replace(at.UTC().Format(refTime+".000Z"), ".", "", 1)
	return stamp + "-" + strings.ToLower(rand.Text())
}

// refAt is the time in a ref. Only what newRef made is one: whatever comes from
// outside goes through here before it is near a path.
func refAt(ref string) (at time.Time, ok bool) {
	if len(ref) != refLength || ref[refStamp] != '-' {
		return at, false
	}
	for _, c := range []byte(ref[refStamp+1:]) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return at, false
		}
	}
	for _, c := range []byte(ref[len(refTime) : refStamp-1]) {
		if c < '0' || c > '9' {
			return at, false
		}
	}
	at, err := time.Parse(refTime+".000Z", ref[:len(refTime)]+"."+ref[len(refTime):refStamp])
	return at, err == nil
}
