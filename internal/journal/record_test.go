package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func someFrame(rng *rand.Rand) frame {
	f := frame{mark: rng.Uint64()}
	f.Seq, f.Type = rng.Uint64(), uint16(rng.Uint32())
	f.Wall = time.Unix(0, rng.Int64()).UTC()
	f.Boot = time.Duration(rng.Int64())
	for i := range f.BootID {
		f.BootID[i] = byte(rng.Uint32())
	}
	f.Payload = make([]byte, rng.IntN(100))
	for i := range f.Payload {
		f.Payload[i] = byte(rng.Uint32())
	}
	if rng.IntN(2) == 0 {
		f.flags, f.Snapshot = flagSnapshot, true
	}
	return f
}

func TestARecordComesBackAsItWas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		want, segment := someFrame(rng), rng.Uint64()
		b := appendFrame(nil, segment, &want)
		var got frame
		n, err := decodeFrame(append(b, 1, 2, 3), segment, &got)
		require.NoError(t, err)
		require.Equal(t, len(b), n)
		require.Equal(t, want, got)
	}
}

func TestAnyFlippedBitOfARecordIsSeen(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	for range 20 {
		f := someFrame(rng)
		b := appendFrame(nil, 5, &f)
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			var got frame
			_, err := decodeFrame(b, 5, &got)
			require.ErrorIsf(t, err, errDamaged, "bit %d", bit)
			b[bit/8] ^= 1 << (bit % 8)
		}
		for n := range b {
			var got frame
			_, err := decodeFrame(b[:n], 5, &got)
			require.ErrorIs(t, err, errDamaged)
		}
		_, err := decodeFrame(b, 6, &f)
		require.ErrorIs(t, err, errDamaged, "a record of another segment")
	}
}

func TestAnyFlippedBitOfAHeaderIsSeen(t *testing.T) {
	want := header{snapshot: true, id: 3, first: 9, size: 4096, records: 2, bytes: 200}
	b := appendHeader(nil, want)
	got, err := decodeHeader(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		_, err := decodeHeader(b)
		require.ErrorIsf(t, err, errDamaged, "bit %d", bit)
		b[bit/8] ^= 1 << (bit % 8)
	}
}

// The bytes of version 1 are fixed: every later version must read them.
func TestTheBytesOfVersion1(t *testing.T) {
	f := frame{mark: 41}
	f.Seq, f.Type, f.Snapshot, f.flags = 42, 7, true, flagSnapshot
	f.Wall = time.Date(2024, 2, 29, 12, 0, 0, 5, time.UTC)
	f.Boot = 90 * time.Second
	f.BootID, _ = parseBootID("00112233-4455-6677-8899-aabbccddeeff")
	f.Payload = []byte("restart intended")
	h := header{snapshot: true, id: 3, first: 43, size: 1 << 20, records: 1, bytes: 80}
	now := hex.Dump(appendFrame(appendHeader(nil, h), 3, &f))
	golden, err := os.ReadFile("testdata/version1.hex")
	require.NoError(t, err)
	require.Equal(t, string(golden), now)
}

func TestANewerRecordIsNamedAsSuch(t *testing.T) {
	b := appendFrame(nil, 1, &frame{Record: Record{Seq: 1}})
	b[8], b[20], b[63] = 9, 77, 88 // another version, other fields
	resum(b, 4)
	var newer *NewerError
	_, err := decodeFrame(b, 1, new(frame))
	require.ErrorAs(t, err, &newer)
	require.Equal(t, 9, newer.Version)

	h := appendHeader(nil, header{id: 1, first: 1, size: 4096})
	h[8], h[40] = 2, 1
	resum(h, 12)
	_, err = decodeHeader(h)
	require.ErrorAs(t, err, &newer)
	require.Equal(t, 2, newer.Version)
}

func resum(b []byte, at int) {
	c := checksum(b, at)
	b[at], b[at+1], b[at+2], b[at+3] = byte(c), byte(c>>8), byte(c>>16), byte(c>>24)
}

func FuzzDecodeRecord(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 1))
	for range 5 {
		r := someFrame(rng)
		f.Add(appendFrame(nil, 1, &r), false)
	}
	f.Add(make([]byte, recordHeader), true)
	f.Fuzz(func(t *testing.T, b []byte, sum bool) {
		if sum && len(b) >= recordHeader { // past the checksum, to what lies behind
			resum(b, 4)
		}
		var r frame
		n, err := decodeFrame(b, 1, &r)
		var newer *NewerError
		switch {
		case err == nil:
			if again := appendFrame(nil, 1, &r); !bytes.Equal(again[:recordHeader+len(r.Payload)], b[:recordHeader+len(r.Payload)]) && blank(b[recordHeader+len(r.Payload):n]) {
				t.Fatalf("%x was read and is written as %x", b[:n], again)
			}
		case !errors.Is(err, errDamaged) && !errors.As(err, &newer):
			t.Fatal(err)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(appendHeader(nil, header{id: 1, first: 1, size: 4096}), false)
	f.Add(appendHeader(nil, header{snapshot: true, id: 1 << 40, first: 7, size: 1 << 20, records: 3, bytes: 900}), true)
	f.Fuzz(func(t *testing.T, b []byte, sum bool) {
		if sum && len(b) >= segmentHeader {
			resum(b[:segmentHeader], 12)
		}
		h, err := decodeHeader(b)
		if err == nil && (h.first == 0 || h.size > maxSegmentBytes || h.bytes > h.size) {
			t.Fatalf("%+v is no header", h)
		}
	})
}
