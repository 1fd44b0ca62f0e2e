package journal

// SetVersion makes b, a record or a header whose checksum is at sum, one of
// another version.
func SetVersion(b []byte, version byte, sum int) {
	size := segmentHeader
	if sum == 4 {
		size = padded(int(b[0]) | int(b[1])<<8)
	}
	b[8] = version
	resum(b[:size], sum)
}
